-- What wrk sends, and its result as one line of JSON. Arguments: the kind of request, and a number that differs for
-- every run, so that no request of one run was seen in another.
local number = 0

local function next_number()
  number = number + 1
  return number
end

-- Twenty headers as a browser-facing app passes them on. Trace and span differ for each request; cookie and token are
-- those of one of a thousand users.
local HEADERS = table.concat({
  "GET %s HTTP/1.1",
  "Host: %s",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Accept: application/json, text/plain, */*",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyLSJ9.c2lnbmF0dXJl%012d",
  "Cache-Control: no-cache",
  "Content-Type: application/json",
  "Cookie: session=8f14e45fceea167a5a36dedd4bea2543%012d; theme=dark; consent=all; cart=c9f0f895fb98ab9159f51fd0297e236d",
  "DNT: 1",
  "Origin: https://shop.example.com",
  "Pragma: no-cache",
  "Referer: https://shop.example.com/orders?page=2&sort=date",
  "Sec-Fetch-Dest: empty",
  "Sec-Fetch-Mode: cors",
  "Sec-Fetch-Site: same-site",
  "X-Client-Version: 2026.11.3",
  "X-Tenant: example",
  "X-Requested-With: XMLHttpRequest",
  "traceparent: 00-%016x%016x-%016x-01",
  "", "",
}, "\r\n")

local function headers(run)
  local path, host = wrk.path, wrk.headers["Host"]
  return function()
    local n = next_number()
    local user = n % 1000
    return HEADERS:format(path, host, user, user, run, n, n)
  end
end

local function paths(run)
  local ending = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
  local format = "GET " .. wrk.path .. "/%d/items/%d?run=%d&page=%d" .. ending
  return function()
    local n = next_number()
    return format:format(n, n % 97, run, n % 13)
  end
end

function init(args)
  local kind, run = args[1], tonumber(args[2])
  if kind == "post-64k" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.body = string.rep("x", 65536)
  elseif kind == "headers-20" then
    request = headers(run)
  elseif kind == "paths" then
    request = paths(run)
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
