# Makes a database as the Rails engine does, by ActiveRecord itself: `ruby database.rb FILE [PREFIX]`.
require "active_record"
require "json"

file, prefix = ARGV
prefix ||= ""
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: file)
ActiveRecord::Base.default_timezone = :utc if ActiveRecord::Base.respond_to?(:default_timezone=)

ActiveRecord::Migration.verbose = false
ActiveRecord::Schema.define do
  create_table "#{prefix}data_flows", force: true do |t|
    t.string :name, null: false
    t.text :description
    t.boolean :enabled, default: true, null: false
    t.text :configuration
    t.integer :run_interval, null: false
    t.datetime :last_run_at
    t.string :last_run_status
    t.timestamps
  end
  add_index "#{prefix}data_flows", :name, unique: true, name: "by_name"

  create_table "#{prefix}data_flow_runs", force: true do |t|
    t.integer :data_flow_id, null: false
    t.string :status, null: false
    t.datetime :started_at, null: false
    t.datetime :ended_at
    t.text :error_message
    t.text :error_backtrace
    t.timestamps
  end
end

class DataFlow < ActiveRecord::Base
  serialize :configuration, JSON
  has_many :data_flow_runs, dependent: :destroy
  validates :name, presence: true, uniqueness: true
  validates :run_interval, numericality: { greater_than: 0 }
end

class DataFlowRun < ActiveRecord::Base
  belongs_to :data_flow
  validates :status, inclusion: { in: %w[pending in_progress success failed] }
end

DataFlow.table_name = "#{prefix}data_flows"
DataFlowRun.table_name = "#{prefix}data_flow_runs"

# What the engine's executor records of a flow that is run at a time.
def run(flow, at, seconds, error = nil)
  run = flow.data_flow_runs.create!(status: "pending", started_at: at)
  run.update!(status: "in_progress")
  yield if block_given?
  status = error ? "failed" : "success"
  flow.update!(last_run_at: at + seconds, last_run_status: status)
  run.update!(status: status, ended_at: at + seconds, error_message: error&.message,
              error_backtrace: error&.backtrace&.join("\n"))
end

def raised
  raise ArgumentError, "no readings: \"none\" came"
rescue ArgumentError => e
  e
end

start = Time.utc(2026, 11, 17, 10, 30, 0.25)
sync = DataFlow.create!(name: "data_sync_flow", description: "Syncs data every 5 minutes", run_interval: 300,
                        configuration: { class_name: "MyApp::Flows::DataSyncFlow", options: { batch_size: 100 } })
7.times { |n| run(sync, start + n * 300, 1.5, n.between?(4, 5) || n == 1 ? raised : nil) }

never = DataFlow.create!(name: "Never Ran", run_interval: 3600, configuration: { class_name: "NeverRan" })
text = DataFlow.create!(name: "text-only", run_interval: 60, configuration: "TextOnly", enabled: false)
run(text, start, 0.004)
3.times { |n| run(text, start + 60 * (n + 1), 2, raised) }
# A Rails server that was killed.
text.data_flow_runs.create!(status: "in_progress", started_at: start + 190)

# What does not fit.
DataFlow.create!(name: "no_class", run_interval: 60, configuration: { options: {} })
DataFlow.create!(name: "not_a_class", run_interval: 60, configuration: { class_name: "x'; system('reboot')" })
DataFlow.create!(name: "???", run_interval: 60, configuration: { class_name: "Nameless" })
DataFlow.create!(name: "data-sync flow", run_interval: 60, configuration: { class_name: "Twin" })
DataFlow.create!(name: "Data Sync Flow", run_interval: 60, configuration: { class_name: "Triplet" })
yaml = DataFlow.create!(name: "yaml", run_interval: 60, configuration: { class_name: "Yaml" })
DataFlow.connection.execute("UPDATE #{prefix}data_flows SET configuration = '--- !ruby/hash' WHERE id = #{yaml.id}")
run(yaml, start, 1)
backwards = sync.data_flow_runs.create!(status: "success", started_at: start, ended_at: start - 1)
sync.data_flow_runs.create!(status: "failed", started_at: start)
DataFlowRun.connection.execute("UPDATE #{prefix}data_flow_runs SET data_flow_id = 777 WHERE id = #{backwards.id + 1}")

puts({ flows: DataFlow.count, runs: DataFlowRun.count, sync: sync.id, never: never.id, text: text.id }.to_json)
