-- Creates, updates, touches and buries records of one context: all of it or nothing.
--
-- KEYS  names, expiry, head and due of the context, then each record once
-- ARGV  now, margin of the native expiry, context, number of the bucket, channel of the stream, 1 if something is
--       ended, and of each operation: what, number of its record, name, and what it needs
-- Returns 1 and what each operation did; or 0, the number of the one that could not be done, and what it found.
--
-- Everything is decided in memory first, and written when nothing is in the way.
local names, expiry, head, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, margin, context = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local bucket, channel, is_end = tonumber(ARGV[4]), ARGV[5], ARGV[6] == '1'
local NEVER, HEADER = 9007199254740991, '>c1I8I8I8c16'
local NOBODY = string.rep('\0', 16)
local slots, order, changes = {}, {}, {}

local position = 6
local function argument()
  position = position + 1
  return ARGV[position]
end

-- What is at a record, as this script leaves it. What expired is not there, but its version was used.
local function slot(number, name)
  local found = slots[number]
  if found then return found end
  found = {key = KEYS[4 + number], name = name, version = 0}
  local raw = redis.call('GETRANGE', found.key, 0, 40)
  if #raw == 41 then
    local kind, version, touched, expires, write = struct.unpack(HEADER, raw)
    found.version = version
    if expires > now then
      found.kind, found.touched, found.expires, found.write = kind, touched, expires, write
    end
  end
  found.was = found.kind
  slots[number] = found
  order[#order + 1] = found
  return found
end

local function whole(found)
  if not found.tail then return redis.call('GET', found.key) end
  return struct.pack(HEADER, found.kind, found.version, found.touched, found.expires, found.write) .. found.tail
end

-- Numbers that only grow. They begin at the time, so that a server that lost its memory does not repeat them.
local before, last
local function draw(above)
  if not last then
    local time = redis.call('TIME')
    before = tonumber(redis.call('GET', head) or '0')
    last = math.max(before, time[1] * 1000000 + time[2])
  end
  last = math.max(last, above) + 1
  return last
end

local function announce(found, kind, version, number)
  changes[#changes + 1] = struct.pack('>I4I8I8c1I8I2', bucket, before, number, kind, version, #context)
    .. context .. found.name
  before = number
end

local function put(found, kind, version, touched, expires, write, tail)
  found.kind, found.version, found.touched, found.expires = kind, version, touched, expires
  found.write, found.tail, found.dirty = write, tail, true
end

local function shown(version) return string.format('%.0f', version) end

local did = {}

-- A record that moves here from another storage brings its version along; one that begins here says 0.
function did.create(found)
  local touched, expires, brought = tonumber(argument()), tonumber(argument()), tonumber(argument())
  local write, value = argument(), argument()
  if found.kind == 'T' then return false, {'buried', whole(found)} end
  if found.kind == 'L' and found.write == write then return true, {'created', shown(found.version)} end
  if found.kind == 'L' then return false, {'exists'} end
  local number = draw(math.max(found.version, brought))
  local version = number
  if brought > found.version then version = brought end
  put(found, 'L', version, touched, expires, write, value)
  announce(found, 'W', version, number)
  return true, {'created', shown(version)}
end

function did.update(found)
  local expected, touched, expires = tonumber(argument()), tonumber(argument()), tonumber(argument())
  local write, value = argument(), argument()
  if found.kind == 'T' then return false, {'buried', whole(found)} end
  if not found.kind then return false, {'absent'} end
  if found.write == write then return true, {'updated', shown(found.version)} end
  if found.version ~= expected then return false, {'conflict', whole(found)} end
  local version = draw(found.version)
  put(found, 'L', version, math.max(found.touched, touched), math.max(found.expires, expires), write, value)
  announce(found, 'W', version, version)
  return true, {'updated', shown(version)}
end

function did.touch(found)
  local touched, expires = tonumber(argument()), tonumber(argument())
  if found.kind == 'T' then return false, {'buried', whole(found)} end
  if not found.kind then return false, {'absent'} end
  if touched > found.touched or expires > found.expires then
    found.touched, found.expires = math.max(found.touched, touched), math.max(found.expires, expires)
    found.dirty = true
  end
  return true, {'touched'}
end

-- An end without a time says 0; one of any version says nothing.
function did.bury(found)
  local time, expected, at, tail = tonumber(argument()), argument(), tonumber(argument()), argument()
  local was = found.kind
  if was == 'L' and expected ~= '' and tonumber(expected) ~= found.version then
    return false, {'other', shown(found.version)}
  end
  local number = draw(found.version)
  local version = number
  if was == 'L' then version = found.version end
  if was == 'T' then
    if time > found.expires then found.expires, found.dirty = time, true end
  elseif time > now then
    put(found, 'T', version, at, time, NOBODY, tail)
  else
    found.kind, found.version, found.dirty = nil, version, true
  end
  announce(found, 'B', version, number)
  return true, {'ended', was or 'A'}
end

-- WAIT is about what was written on the same connection. So whoever learns that something is ended already, by somebody
-- whose answer was perhaps lost, writes something behind it.
local function follow()
  if is_end and not last then redis.call('SET', head, redis.call('GET', head) or '0') end
end

local outcomes = {1}
while position < #ARGV do
  local what, number, name = argument(), tonumber(argument()), argument()
  local done, outcome = did[what](slot(number, name))
  table.insert(outcome, 1, what)
  if not done then
    last = nil
    if what ~= 'bury' then follow() end
    return {0, #outcomes - 1, outcome}
  end
  outcomes[#outcomes + 1] = outcome
end

local moved = false
for _, found in ipairs(order) do
  if found.dirty then
    moved = true
    -- First what is allowed when the memory is full: once it is done, the rest of an end is, too.
    if found.kind ~= 'L' and found.was ~= 'T' then
      redis.call('DEL', found.key)
      redis.call('ZREM', names, found.name)
    end
    if not found.kind then
      redis.call('ZREM', expiry, found.name)
    else
      if found.tail then
        redis.call('SET', found.key, whole(found))
      else
        redis.call('SETRANGE', found.key, 9, struct.pack('>I8I8', found.touched, found.expires))
      end
      if found.kind == 'L' and found.was ~= 'L' then redis.call('ZADD', names, 0, found.name) end
      if found.expires < NEVER then
        redis.call('PEXPIRE', found.key, shown(math.max(found.expires - now, 0) + margin))
        redis.call('ZADD', expiry, shown(found.expires), found.name)
      else
        redis.call('PERSIST', found.key)
        redis.call('ZREM', expiry, found.name)
      end
    end
  end
end
if moved then
  local first = redis.call('ZRANGE', expiry, 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', due, first[2], context) else redis.call('ZREM', due, context) end
end
follow()
if last then redis.call('SET', head, shown(last)) end
for _, change in ipairs(changes) do redis.call('PUBLISH', channel, change) end
return outcomes
