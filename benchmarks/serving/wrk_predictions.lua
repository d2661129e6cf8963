-- What wrk sends, and what it tells at the end.
--
-- wrk … -s wrk_predictions.lua URL -- FILE SEED
--
-- Each request is a POST with a body drawn at random among the lines of FILE. They are all put
-- together before the load starts, so that the client is not what limits it. The last line of the
-- output is JSON: times are in milliseconds, `refused` counts answers with a status of 400 or more.

local prepared = {}

function init(arguments)
   math.randomseed(tonumber(arguments[2]))
   for body in io.lines(arguments[1]) do
      prepared[#prepared + 1] = wrk.format("POST", nil, nil, body)
   end
end

function request()
   return prepared[math.random(#prepared)]
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, ' ..
      '"refused": %d, "unconnected": %d, "unread": %d, "unwritten": %d, "timed_out": %d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
      errors.status, errors.connect, errors.read, errors.write, errors.timeout
   ))
end
