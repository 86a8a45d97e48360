-- Reads a record, without its value if the caller has it.
--
-- KEYS  the record
-- ARGV  the version that the caller has
local raw = redis.call('GETRANGE', KEYS[1], 0, 40)
if #raw < 41 then return false end
local kind, version = struct.unpack('>c1I8', raw)
if kind == 'L' and version == tonumber(ARGV[1]) then return raw end
return redis.call('GET', KEYS[1])
