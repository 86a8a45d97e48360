CREATE TABLE IF NOT EXISTS cloakroom_record (
    context VARBINARY(255) NOT NULL,
    name VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    touched BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    write_id BINARY(16) NULL,
    ended_at BIGINT NULL,
    ended_why VARCHAR(32) NULL,
    ended_by MEDIUMTEXT NULL,
    value LONGBLOB NULL,
    PRIMARY KEY (context, name),
    KEY cloakroom_record_by_expiry (expires)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
  COMMENT 'Records of Cloakroom: see the chapter on SQL databases';

CREATE TABLE IF NOT EXISTS cloakroom_change (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    context VARBINARY(255) NOT NULL,
    name VARBINARY(255) NOT NULL,
    version BIGINT NULL,
    kind ENUM ('written', 'ended') NOT NULL,
    KEY cloakroom_change_by_time (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
  COMMENT 'What other nodes are told; rows go after some minutes';
