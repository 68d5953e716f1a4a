# Rails' Action Cable with its adapter for PostgreSQL, by job_queues.py: action_cable.rb DSN. It reads lines, and answers:
#   subscribe NAME CHANNEL     "subscribed NAME" when PostgreSQL has answered; later "got NAME PAYLOAD" for each message
#   unsubscribe NAME CHANNEL   "unsubscribed NAME" when PostgreSQL has answered, as far as Action Cable lets know
#   broadcast CHANNEL PAYLOAD  "sent"
#   end                        "ended"
# A channel and a payload are in base64.
require "active_record"
require "action_cable"
require "action_cable/subscription_adapter/postgresql"
require "base64"

words = ARGV[0].split.to_h { |word| word.split("=", 2) }
ActiveRecord::Base.establish_connection(adapter: "postgresql", host: words["host"], port: words["port"],
                                        database: words["dbname"], username: words["user"], pool: 4)
config = ActionCable::Server::Configuration.new
config.cable = { "adapter" => "postgresql" }
config.logger = ActionCable.server.config.logger = Logger.new($stderr, level: Logger::ERROR)
adapter = ActionCable::SubscriptionAdapter::PostgreSQL.new(ActionCable::Server::Base.new(config: config))
callbacks = {}
lock = Mutex.new
say = ->(line) { lock.synchronize { $stdout.write(line + "\n"); $stdout.flush } }

subscribe = lambda do |name, channel|
  callbacks[name] = ->(payload) { say.call("got #{name} #{Base64.strict_encode64(payload)}") }
  adapter.subscribe(channel, callbacks[name], -> { say.call("subscribed #{name}") })
end
text = ->(word) { Base64.decode64(word || "").force_encoding("UTF-8") }

say.call("ready")
while (line = $stdin.gets)
  verb, *rest = line.chomp.split(" ")
  case verb
  when "subscribe"
    subscribe.call(rest[0], text.call(rest[1]))
  when "unsubscribe"
    adapter.unsubscribe(text.call(rest[1]), callbacks.delete(rest[0]))
    say.call("unsubscribed #{rest[0]}")
  when "broadcast"
    adapter.broadcast(text.call(rest[0]), text.call(rest[1]))
    say.call("sent")
  when "end"
    adapter.shutdown
    ActiveRecord::Base.connection_pool.disconnect!
    say.call("ended")
    break
  end
end
