-- What wrk asks for, and how it reports what it saw. After wrk's own arguments:
--   get             the URL, again and again
--   paths FILE      a random line of FILE each time; the requests are written beforehand
--   replay FILE     each line of FILE in turn
--   send FILE       the body in FILE; method and type come from the next two arguments
--   send-as KEYS    the same, each time with another API key, of which KEYS has one a line
-- Last may come the mean pause between two requests of a connection, in milliseconds.

local mean_pause

function init(arguments)
  local what = table.remove(arguments, 1)
  if what == "paths" or what == "replay" then
    local requests = {}
    for path in io.lines(table.remove(arguments, 1)) do
      requests[#requests + 1] = wrk.format("GET", path)
    end
    local random, count = math.random, #requests
    math.randomseed(os.time())
    if what == "paths" then
      request = function() return requests[random(count)] end
    else
      local number = 0
      request = function()
        number = number % count + 1
        return requests[number]
      end
    end
  elseif what == "send" or what == "send-as" then
    local keys = what == "send-as" and table.remove(arguments, 1)
    local file = assert(io.open(table.remove(arguments, 1), "rb"))
    wrk.body = file:read("*a")
    file:close()
    wrk.method = table.remove(arguments, 1)
    wrk.headers["Content-Type"] = table.remove(arguments, 1)
    if keys then
      local requests = {}
      for key in io.lines(keys) do
        wrk.headers["Authorization"] = "Bearer " .. key
        requests[#requests + 1] = wrk.format()
      end
      math.randomseed(os.time())
      local number = math.random(#requests)
      request = function()
        number = number % #requests + 1
        return requests[number]
      end
    end
  end
  if arguments[1] then
    mean_pause = tonumber(arguments[1])
    delay = function() return math.random(0, 2 * mean_pause) end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
