# As the Rails engine calls it: with its configuration, then run.
module MyApp
  module Flows
    class DataSyncFlow
      def initialize(configuration) = @configuration = configuration

      def run
        puts "synced #{@configuration.dig("options", "batch_size")} rows in #{Rails.env}, #{ENV.fetch("DATABASE_URL", "none:")}"
      end
    end
  end
end
