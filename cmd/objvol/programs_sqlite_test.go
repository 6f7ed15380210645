package main

import "testing"

// fillSQLite makes a table of 2,000 rows in a journal mode, changes it in transactions
// that are kept and in one that is not, and leaves 1,800 rows whose numbers add up to 3,600,000.
const fillSQLite = `
	sqlite3 -bail data.db >/dev/null "
		PRAGMA journal_mode=$mode;
		CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
		CREATE INDEX by_text ON t (text);
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < 2000)
			INSERT INTO t SELECT i, i, hex(i * 7919) || '-' || i FROM c;
		BEGIN; UPDATE t SET n = n + 1000; COMMIT;
		BEGIN; DELETE FROM t; INSERT INTO t VALUES (0, 0, 'never'); ROLLBACK;
		DELETE FROM t WHERE id % 10 = 0;"`

// lookSQLite prints what fillSQLite leaves, with the verdict of SQLite on the file.
const lookSQLite = `sqlite3 -bail data.db "PRAGMA integrity_check; PRAGMA journal_mode; SELECT count(*), sum(n) FROM t; SELECT count(*) FROM t INDEXED BY by_text WHERE text >= ''"`

// A process that dies in the middle leaves what SQLite needs to go back or to go on: the
// rollback journal, or the log that holds what was committed. Both go to the next host.
func TestSQLite(t *testing.T) {
	requireProgram(t, "sqlite3", "sqlite3")
	t.Parallel()
	for mode, c := range map[string]struct{ die, left, want string }{
		"delete": {
			// The cache of 10 pages is too small for the change: pages of it are in the file.
			die:  `PRAGMA cache_size=10; BEGIN; UPDATE t SET n = -1, text = 'torn' || id;`,
			left: "data.db-journal",
			want: "ok\ndelete\n1800|3600000\n1800",
		},
		"wal": {
			die:  `PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (5000, 400000, 'in the log');`,
			left: "data.db-wal",
			want: "ok\nwal\n1801|4000000\n1801",
		},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t)
			d.sh(t, "mode="+mode+fillSQLite)
			d.sh(t, `! printf '%s\n' "`+c.die+`" '.shell kill -9 $PPID' | sqlite3 -bail data.db; test -s `+c.left)
			d.move(t)
			d.sh(t, "test -s "+c.left)
			d.want(t, lookSQLite, c.want)
			d.move(t)
			d.want(t, lookSQLite, c.want)
		})
	}
}
