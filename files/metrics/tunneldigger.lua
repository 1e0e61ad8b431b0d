-- The broker's metrics, for prometheus-node-exporter-lua: as `tunneldigger-broker status --prometheus` prints them.
local function scrape()
  local pipe = io.popen("/usr/bin/tunneldigger-broker status --prometheus 2>/dev/null")
  local text = pipe:read("*a")
  pipe:close()
  if text == "" then
    error("the Tunneldigger broker does not run\n", 0)
  end
  if out then -- since June 2025
    out:write(text)
  else
    output((text:gsub("\n$", "")))
  end
end

return { scrape = scrape }
