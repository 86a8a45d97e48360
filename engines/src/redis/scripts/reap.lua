-- Removes records of one context that are over.
--
-- KEYS  names, expiry and due of the context, then the records
-- ARGV  now, context, and the name of each record
-- Returns how many went.
local names, expiry, due = KEYS[1], KEYS[2], KEYS[3]
local now, context = tonumber(ARGV[1]), ARGV[2]
local gone = 0
for number = 4, #KEYS do
  local name = ARGV[number - 1]
  local raw = redis.call('GETRANGE', KEYS[number], 0, 40)
  local expires = 0
  if #raw == 41 then
    local _, _, _, time = struct.unpack('>c1I8I8I8', raw)
    expires = time
  end
  -- Somebody may have reaped it meanwhile, or prolonged it.
  local listed = redis.call('ZSCORE', expiry, name)
  if listed and tonumber(listed) <= now then
    if expires <= now then
      redis.call('DEL', KEYS[number])
      redis.call('ZREM', names, name)
      redis.call('ZREM', expiry, name)
      gone = gone + 1
    else
      redis.call('ZADD', expiry, string.format('%.0f', expires), name)
    end
  end
end
local first = redis.call('ZRANGE', expiry, 0, 0, 'WITHSCORES')
if first[2] then redis.call('ZADD', due, first[2], context) else redis.call('ZREM', due, context) end
return gone
