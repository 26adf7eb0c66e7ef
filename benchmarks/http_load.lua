-- wrk's script: posts the given bodies in turn. Arguments: Content-Type, mean pause in ms between an answer and the
-- next request of its connection, and the files of the bodies. Prints one line of JSON at the end.
local bodies, at, pause = {}, 0, 0

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = arguments[1]
  pause = tonumber(arguments[2])
  for place = 3, #arguments do
    local file = io.open(arguments[place], "rb")
    bodies[#bodies + 1] = file:read("*all")
    file:close()
  end
  math.randomseed(1)
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

function delay() -- exponential: requests come at random, as those of many customers do
  return pause > 0 and math.floor(0.5 - pause * math.log(1 - math.random())) or 0
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format('{"answers": %d, "seconds": %f, "connect": %d, "read": %d, "write": %d, "status": %d, ' ..
    '"timeout": %d, "p50": %f, "p99": %f}\n', summary.requests, summary.duration / 1e6, errors.connect, errors.read,
    errors.write, errors.status, errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
