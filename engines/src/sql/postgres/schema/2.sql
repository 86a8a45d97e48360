-- The records as people read them.
CREATE VIEW cloakroom_readable AS
SELECT
    context,
    encode(name, 'escape') AS name,
    version,
    to_timestamp(touched / 1000.0) AS touched,
    CASE WHEN expires < 253402300800000 THEN to_timestamp(expires / 1000.0) ELSE 'infinity' END AS expires,
    CASE WHEN ended_at < 253402300800000 THEN to_timestamp(ended_at / 1000.0) END AS ended,
    ended_why,
    ended_by,
    length(value) AS bytes
FROM cloakroom_record;
