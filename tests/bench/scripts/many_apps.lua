-- Asks app-0, app-1, ... in turn; the number of apps is the argument after `--`.
local apps = 1
local turn = 0

function init(arguments)
  apps = tonumber(arguments[1])
end

function request()
  local path = "/app-" .. turn .. "/"
  turn = (turn + 1) % apps
  return wrk.format("GET", path)
end
