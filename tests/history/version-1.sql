-- A history of version 1: the tables of that version, with the messages of version-2.sql. It has no checksums.
BEGIN TRANSACTION;
CREATE TABLE room (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last_id INTEGER NOT NULL
    ) STRICT;
INSERT INTO room VALUES(1,'lobby',5);
INSERT INTO room VALUES(2,'tea room',2);
CREATE TABLE message (
        room INTEGER NOT NULL,
        id INTEGER NOT NULL,
        unix_ms INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (room, id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO message VALUES(1,1,1795604676832,0,'Ann','first');
INSERT INTO message VALUES(1,2,1795604676832,0,'Ann','second');
INSERT INTO message VALUES(1,3,1795604676832,1,'Ann','waves');
INSERT INTO message VALUES(1,4,1795604677430,0,'Tourist 1','from a tourist');
INSERT INTO message VALUES(1,5,1795604678638,0,'Tourist 2','another tourist');
INSERT INTO message VALUES(2,1,1795604678048,0,'李雷','汉字 😀');
INSERT INTO message VALUES(2,2,1795604678048,0,'李雷','quotes '' and " and ; --');
COMMIT;
PRAGMA application_id = 1919905645;
PRAGMA user_version = 1;
