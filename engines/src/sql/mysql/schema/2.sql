CREATE OR REPLACE VIEW cloakroom_readable AS
SELECT
    CONVERT(context USING utf8mb4) AS context,
    HEX(name) AS name,
    version,
    FROM_UNIXTIME(touched / 1000) AS touched,
    IF(expires < 2147483647000, FROM_UNIXTIME(expires / 1000), NULL) AS expires,
    FROM_UNIXTIME(ended_at / 1000) AS ended,
    ended_why,
    ended_by,
    LENGTH(value) AS bytes
FROM cloakroom_record;
