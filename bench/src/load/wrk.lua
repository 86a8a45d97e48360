-- What wrk runs beside its own work: each argument is a cookie, and requests take them in turn. At the end it
-- prints what was measured in one line of JSON.

local requests = {}
local turn = 0

-- Only set where there are cookies to take in turn: without it wrk sends the same bytes again and again, which
-- costs less of the machine that it shares with the server.
local function in_turn()
  turn = turn % #requests + 1
  return requests[turn]
end

function init(cookies)
  for index, cookie in ipairs(cookies) do
    requests[index] = wrk.format(nil, nil, { ["Cookie"] = cookie, ["Host"] = wrk.headers["Host"],
      ["Accept"] = wrk.headers["Accept"], ["User-Agent"] = wrk.headers["User-Agent"] })
  end
  if #requests > 0 then
    request = in_turn
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nmeasured {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
