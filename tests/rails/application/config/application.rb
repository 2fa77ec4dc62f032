# The least application that `bin/rails runner` runs: Railties without Active Record.
require "rails"
module Edge
  class Application < Rails::Application
    config.load_defaults 6.1
    config.eager_load = false
  end
end
