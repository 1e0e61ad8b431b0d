-- Tunneldigger for Wireshark and tshark: control messages by name, and the Ethernet frames that the tunnels carry.
-- files/doc/protocol.md specifies what is read here. To take it: tshark -X lua_script:tunneldigger.lua, or put it into
-- Wireshark's folder for personal Lua plugins (Help, About, Folders).

local td = Proto("tunneldigger", "Tunneldigger")

local types = {
	[0x01] = "COOKIE", [0x02] = "PREPARE", [0x03] = "ERROR", [0x04] = "TUNNEL", [0x05] = "KEEPALIVE", [0x06] = "PMTUD",
	[0x07] = "PMTUD_ACK", [0x08] = "REL_ACK", [0x09] = "PMTU_NTFY", [0x0a] = "USAGE", [0x80] = "LIMIT",
}
local reasons = {
	[0x01] = "broker: the client asked for it", [0x02] = "broker: shuts down", [0x03] = "broker: heard nothing for too long",
	[0x04] = "broker: failure", [0x05] = "broker: undefined",
	[0x10] = "client: the broker asked for it", [0x11] = "client: shuts down", [0x12] = "client: heard nothing for too long",
	[0x13] = "client: failure",
}

local f = {
	version  = ProtoField.uint8("tunneldigger.version", "Version"),
	type     = ProtoField.uint8("tunneldigger.type", "Type", base.HEX, types),
	length   = ProtoField.uint8("tunneldigger.length", "Length of the payload"),
	padding  = ProtoField.bytes("tunneldigger.padding", "Padding"),
	cookie   = ProtoField.bytes("tunneldigger.cookie", "Cookie"),
	uuid     = ProtoField.string("tunneldigger.uuid", "UUID"),
	tunnel   = ProtoField.uint32("tunneldigger.tunnel_id", "Tunnel ID"),
	features = ProtoField.uint32("tunneldigger.features", "Features", base.HEX),
	unique   = ProtoField.bool("tunneldigger.features.unique_session_id", "UNIQUE_SESSION_ID", 32, nil, 0x00000001),
	reason   = ProtoField.uint8("tunneldigger.reason", "Reason", base.HEX, reasons),
	sequence = ProtoField.uint32("tunneldigger.sequence", "Sequence number"),
	size     = ProtoField.uint32("tunneldigger.size", "Size of the UDP payload"),
	mtu      = ProtoField.uint16("tunneldigger.mtu", "Tunnel MTU"),
	load     = ProtoField.uint16("tunneldigger.load", "Load, 65535 for full"),
	kind     = ProtoField.uint8("tunneldigger.limit", "Kind of limit", base.HEX, {[0x01] = "bandwidth towards the client"}),
	config   = ProtoField.uint8("tunneldigger.limit.length", "Length of the configuration"),
	kbit     = ProtoField.uint32("tunneldigger.kbit", "kbit/s"),
	session  = ProtoField.uint32("tunneldigger.session_id", "Session ID, the receiver's"),
}
td.fields = f

local short = ProtoExpert.new("tunneldigger.short", "The payload ends inside a field", expert.group.MALFORMED, expert.severity.ERROR)
td.experts = {short}

-- The ports that brokers use. On 53 and 123 what is not Tunneldigger goes to the dissector that had the port.
local ports = {53, 123, 8942}
local eth = Dissector.get("eth_withoutfcs")

-- By the two ends of a pair: which of them is the client. A frame on another port than 8942 is taken for one only where the
-- pair has spoken Tunneldigger before, as a DNS query may look the same.
local clients = {}
function td.init() clients = {} end

local function ends(pinfo)
	local from, to = tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
	return from < to and from .. " " .. to or to .. " " .. from, from, to
end

-- is_client reports whether the client sent this message, from what the message tells or the pair has shown.
local function is_client(pinfo, name, payload)
	local pair, from, to = ends(pinfo)
	local told
	if name == "PREPARE" or name == "LIMIT" then told = true end
	if name == "TUNNEL" or name == "REL_ACK" then told = false end
	if name == "KEEPALIVE" and payload:len() > 0 then told = payload:len() >= 4 end
	if name == "USAGE" then told = payload:len() >= 8 end
	if told ~= nil then
		clients[pair] = told and from or to
	elseif not clients[pair] then
		clients[pair] = pinfo.src_port >= pinfo.dst_port and from or to
	end
	return clients[pair] == from
end

-- Each takes a payload apart. It is given a function that adds a field of some bytes to the tree and returns those bytes, or nil
-- where the payload has no more.
local function features(take)
	local r, item = take(f.features, 4)
	if not r then return "" end
	item:add(f.unique, r)
	return string.format(" features=0x%x", r:uint())
end

local function number(field, bytes, word)
	return function(take)
		local r = take(field, bytes)
		return r and " " .. word .. "=" .. r:uint() or ""
	end
end

local parsers = {
	PREPARE = function(take, left)
		local text = ""
		if not take(f.cookie, 8) then return text end
		local n = take(f.length, 1)
		local uuid = n and n:uint() > 0 and take(f.uuid, n:uint())
		if uuid then text = " uuid=" .. uuid:string() end
		if left() > 0 then
			local id = take(f.tunnel, 4)
			if id then text = text .. " tunnel=" .. id:uint() end
		end
		if left() > 0 then text = text .. features(take) end
		return text
	end,
	ERROR = function(take, left)
		if left() == 0 then return " no reason" end
		local n = take(f.reason, 1):uint()
		return " " .. (reasons[n] or string.format("0x%02x", n))
	end,
	TUNNEL = function(take, left)
		local id = take(f.tunnel, 4)
		local text = id and " tunnel=" .. id:uint() or ""
		if left() > 0 then text = text .. features(take) end
		return text
	end,
	PMTUD_ACK = number(f.size, 2, "size"),
	REL_ACK = number(f.sequence, 2, "sequence"),
	PMTU_NTFY = number(f.mtu, 2, "mtu"),
	COOKIE = function(take, left, client)
		if client then
			take(f.padding, left())
			return " asked for"
		end
		local r = take(f.cookie, 8)
		return r and " " .. tostring(r:bytes()):lower() or ""
	end,
	USAGE = function(take, left, client)
		if not client then return number(f.load, 2, "load")(take) end
		take(f.padding, 8)
		return " asked for" .. (left() > 0 and features(take) or "")
	end,
	KEEPALIVE = function(take, left) return number(f.sequence, math.min(left(), 4), "sequence")(take) end,
	LIMIT = function(take)
		local text = number(f.sequence, 2, "sequence")(take)
		local kind, n = take(f.kind, 1), take(f.config, 1)
		if kind and n and kind:uint() == 1 and n:uint() == 4 then text = text .. number(f.kbit, 4, "kbit")(take) end
		return text
	end,
}

local function control(buffer, pinfo, root)
	local name = types[buffer(4, 1):uint()] or string.format("type 0x%02x", buffer(4, 1):uint())
	local length = math.min(buffer(5, 1):uint(), buffer:len() - 6)
	local tree = root:add(td, buffer(), "Tunneldigger, " .. name)
	tree:add(f.version, buffer(3, 1))
	tree:add(f.type, buffer(4, 1))
	local item = tree:add(f.length, buffer(5, 1))
	if length < buffer(5, 1):uint() then item:add_proto_expert_info(short) end

	local at, last = 6, 6 + length
	local function left() return last - at end
	local function take(field, n)
		if n == 0 then return nil end
		if at + n > last then
			tree:add_proto_expert_info(short)
			at = last
			return nil
		end
		local r = buffer(at, n)
		at = at + n
		return r, tree:add(field, r)
	end
	local payload = length > 0 and buffer(6, length):bytes() or ByteArray.new()
	local client = is_client(pinfo, name, payload)
	local text = ""
	if name == "PMTUD" then
		tree:add(f.size, buffer:len()):set_generated()
		text = " size=" .. buffer:len()
	elseif parsers[name] then
		text = parsers[name](take, left, client)
	end
	if buffer:len() > last then tree:add(f.padding, buffer(last)) end
	pinfo.cols.protocol = "Tunneldigger"
	pinfo.cols.info = (client and "client: " or "broker: ") .. name .. text
end

local function frame(buffer, pinfo, root)
	local tree = root:add(td, buffer(0, 12), "Tunneldigger, frame in L2TPv3, session " .. buffer(4, 4):uint())
	tree:add(f.session, buffer(4, 4))
	pinfo.cols.protocol = "Tunneldigger"
	eth:call(buffer(12):tvb(), pinfo, root)
end

-- dissect reports whether the datagram was Tunneldigger's.
local function dissect(buffer, pinfo, root)
	local n = buffer:len()
	if n >= 6 and buffer(0, 4):uint() == 0x8073a701 then
		control(buffer, pinfo, root)
		return true
	end
	if n >= 12 + 14 and buffer(0, 4):uint() == 0x00030000 and buffer(8, 4):uint() == 0 then
		if clients[ends(pinfo)] or pinfo.src_port == 8942 or pinfo.dst_port == 8942 then
			frame(buffer, pinfo, root)
			return true
		end
	end
	return false
end

function td.dissector(buffer, pinfo, root)
	return dissect(buffer, pinfo, root) and buffer:len() or 0
end

local udp = DissectorTable.get("udp.port")
for _, port in ipairs(ports) do
	local before = udp:get_dissector(port)
	if before then
		local shared = Proto("tunneldigger_" .. port, "Tunneldigger, or what else uses port " .. port)
		function shared.dissector(buffer, pinfo, root)
			return dissect(buffer, pinfo, root) and buffer:len() or before:call(buffer, pinfo, root)
		end
		udp:add(port, shared)
	else
		udp:add(port, td)
	end
end
td:register_heuristic("udp", dissect)
