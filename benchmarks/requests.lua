-- What wrk sends: lines of a file in turn, each a path (GET) or a path, a tab and a body (POST).
-- Every mark in a body becomes a number that no other request of any run has. For one thread.
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
