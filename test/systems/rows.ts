/** Rows that are written to one MariaDB all the time, and watched in another. */
import type { Mariadb } from './mariadb.ts';

const TABLES = `CREATE DATABASE IF NOT EXISTS test;
CREATE TABLE test.rows (id bigint AUTO_INCREMENT PRIMARY KEY, at datetime(6));
CREATE TABLE test.stop (id int PRIMARY KEY)`;

/** Commits row after row until there is something in \`stop\`. */
const WRITE = `DELIMITER //
CREATE PROCEDURE test.write_rows() BEGIN
  WHILE NOT EXISTS (SELECT * FROM test.stop) DO
    INSERT INTO test.rows (at) VALUES (SYSDATE(6));
    DO SLEEP(0.01);
  END WHILE;
END //`;

/** Elsewhere, until there is something in \`stop\`: how far it was behind, how often that was looked at, and how often rows went away. */
const WATCH = `DELIMITER //
CREATE PROCEDURE test.watch() BEGIN
  DECLARE longest_ms, looks, backwards, newest, last bigint DEFAULT 0;
  DECLARE newest_at datetime(6);
  WHILE NOT EXISTS (SELECT * FROM test.stop) DO
    SELECT id, at INTO newest, newest_at FROM test.rows ORDER BY id DESC LIMIT 1;
    IF newest > 0 THEN
      SET looks = looks + 1;
      SET longest_ms = greatest(longest_ms, timestampdiff(MICROSECOND, newest_at, SYSDATE(6)) / 1000);
      IF newest < last THEN SET backwards = backwards + 1; END IF;
      SET last = newest;
    END IF;
    DO SLEEP(0.005);
  END WHILE;
  SELECT longest_ms, looks, backwards;
END //`;

export async function prepare(server: Mariadb): Promise<void> {
  for (const command of [TABLES, WRITE, WATCH]) await server.sql(command);
}

/** Whether all that `prepare` has made is here. */
export async function areReady(server: Mariadb): Promise<boolean> {
  return (await server.sql("SELECT count(*) FROM mysql.proc WHERE db = 'test'")) === '2';
}

/** Until `stop`. */
export async function write(server: Mariadb): Promise<void> {
  await server.sql('CALL test.write_rows()');
}

export async function stop(server: Mariadb): Promise<void> {
  await server.sql('INSERT INTO test.stop VALUES (1)');
}

/** @returns when `stop` has come here: the greatest age of the newest row, how often that was looked at, and how often rows went away */
export async function watch(server: Mariadb) {
  const [longestMs = Number.NaN, looks = 0, backwards] = (await server.sql('CALL test.watch()'))
    .split('\t')
    .map(Number);
  return { longestMs, looks, backwards };
}

/** All that there is. */
export async function all(server: Mariadb) {
  const content = await server.sql(`SET SESSION group_concat_max_len = 1 << 30;
    SELECT count(*), max(id), md5(group_concat(id, at ORDER BY id)) FROM test.rows`);
  const [count, most, md5] = content.split('\t');
  return { count: Number(count), most: Number(most), md5 };
}
