-- Requests for wrk, read from a file in turn: a path (GET), or path, tab and body (POST).
-- Each mark in a body becomes a number that is unique across requests and runs. For one thread only.
function init(args)
  requests, turn = {}, 0
  run, mark = args[2], args[3]
  for line in io.lines(args[1]) do
    local path, body = line:match("^(.-)\t(.*)$")
    requests[#requests + 1] = path and { path, body } or wrk.format("GET", line)
  end
  headers = { ["Content-Type"] = "application/json" }
end

function request()
  turn = turn + 1
  local chosen = requests[turn % #requests + 1]
  if type(chosen) == "string" then
    return chosen
  end
  return wrk.format("POST", chosen[1], headers, (chosen[2]:gsub(mark, run .. turn)))
end

function done(summary, latency, _)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  print(string.format(
    '{"requests":%d,"seconds":%f,"wrong":%d,"p50":%f,"p95":%f,"p99":%f}',
    summary.requests, summary.duration / 1e6, wrong,
    latency:percentile(50) / 1e6, latency:percentile(95) / 1e6, latency:percentile(99) / 1e6))
end
