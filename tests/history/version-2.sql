-- A history of version 2, as a roomd of that version left it on a signal (sqlite3 .dump, and its two pragmas).
BEGIN TRANSACTION;
CREATE TABLE room (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last_id INTEGER NOT NULL
    , oldest INTEGER, unchecked INTEGER NOT NULL DEFAULT 0, checksum INTEGER) STRICT;
INSERT INTO room VALUES(1,'lobby',5,1,0,4284167829);
INSERT INTO room VALUES(2,'tea room',2,1,0,788288339);
CREATE TABLE message (
        room INTEGER NOT NULL,
        id INTEGER NOT NULL,
        unix_ms INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL, checksum INTEGER,
        PRIMARY KEY (room, id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO message VALUES(1,1,1795604676832,0,'Ann','first',2963436602);
INSERT INTO message VALUES(1,2,1795604676832,0,'Ann','second',1719101620);
INSERT INTO message VALUES(1,3,1795604676832,1,'Ann','waves',2847813031);
INSERT INTO message VALUES(1,4,1795604677430,0,'Tourist 1','from a tourist',342683426);
INSERT INTO message VALUES(1,5,1795604678638,0,'Tourist 2','another tourist',4132549479);
INSERT INTO message VALUES(2,1,1795604678048,0,'李雷','汉字 😀',2264505699);
INSERT INTO message VALUES(2,2,1795604678048,0,'李雷','quotes '' and " and ; --',2658057309);
CREATE TABLE counter (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES('tourists',2);
COMMIT;
PRAGMA application_id = 1919905645;
PRAGMA user_version = 2;
