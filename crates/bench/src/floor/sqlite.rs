//! The floor on SQLite: tables in place of topics, one connection. Each stage reads its messages back,
//! writes its rows and messages and where it reads on, and commits.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rusqlite::{Connection, params};

use super::{
    Load, Plan, measure,
    pulse::{Id, Pulse},
    shape::{KIND, Pool, Shape},
};
use crate::{load::Measured, report::Figures, unit::UNITS};

/// Fan-outs in one transaction.
const BATCH: usize = 500;
const CACHE_KIB: u32 = 256 * 1024;
/// Pages; larger than the default, so that a checkpoint is not a part of every second commit.
const CHECKPOINT_PAGES: u32 = 10_000;
/// How long an idle floor waits for what is due next.
const LOOK: Duration = Duration::from_micros(200);
/// The tables of rows: the participants', then the coordinator's.
const COORDINATOR: usize = UNITS;
/// The tables of messages: instructions, then acknowledgements, then facts.
const ACKNOWLEDGEMENTS: usize = UNITS;
const FACTS: usize = UNITS + 1;

pub fn run(plan: &Plan, directory: &Path) -> Result<Figures> {
    std::fs::create_dir_all(directory)?;
    let home = tempfile::Builder::new().prefix("floor-").tempdir_in(directory)?;
    let mut floor = Floor::new(&home.path().join("floor.db"), plan.shape.clone())?;
    let in_flight = plan.in_flight.unwrap_or(BATCH);
    measure(plan, in_flight, Vec::new, |load, lasts| floor.phase(load, lasts))
}

struct Floor {
    connection: Connection,
    shape: Shape,
    pool: Pool,
    pulse: Pulse,
    /// Where each participant, and then the coordinator, reads on.
    next: [i64; UNITS + 1],
    /// How many participants have answered.
    answers: HashMap<Id, usize>,
}

impl Floor {
    fn new(file: &Path, shape: Shape) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(&format!(
            "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -{CACHE_KIB}; \
             pragma wal_autocheckpoint = {CHECKPOINT_PAGES};"
        ))?;
        for table in 0..=UNITS {
            connection.execute_batch(&format!(
                "create table rows_{table} (position integer primary key, stream blob not null, \
                 version integer not null, kind text not null, payload blob not null, unique (stream, version));"
            ))?;
        }
        for table in 0..=FACTS {
            connection.execute_batch(&format!(
                "create table messages_{table} (position integer primary key, key blob not null, \
                 payload blob not null);"
            ))?;
        }
        connection
            .execute_batch("create table offsets (consumer integer primary key, next integer not null);")?;
        Ok(Self {
            connection,
            shape,
            pool: Pool::new(),
            pulse: Pulse::new(),
            next: [0; UNITS + 1],
            answers: HashMap::new(),
        })
    }

    fn phase(&mut self, load: Load, lasts: Duration) -> Result<Measured> {
        self.pulse.put(load);
        self.pulse.begin()?;
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            if !self.round()? {
                std::thread::park_timeout(LOOK);
            }
        }
        self.pulse.end()
    }

    /// All stages of what is due now; false when nothing is.
    fn round(&mut self) -> Result<bool> {
        let ids = self.pulse.take(BATCH);
        if ids.is_empty() {
            return Ok(false);
        }
        self.request(&ids)?;
        for unit in 0..UNITS {
            self.work(unit)?;
        }
        let completed = self.acknowledge()?;
        self.pulse.complete(&completed);
        Ok(true)
    }

    fn request(&self, ids: &[Id]) -> Result<()> {
        self.begin()?;
        for id in ids {
            for (version, bytes) in (1..).zip(&self.shape.requested) {
                self.row(COORDINATOR, *id, version, *bytes)?;
            }
            for unit in 0..UNITS {
                self.message(unit, *id, self.shape.instruction)?;
            }
            for bytes in &self.shape.requested_facts {
                self.message(FACTS, *id, *bytes)?;
            }
        }
        self.commit()
    }

    fn work(&mut self, unit: usize) -> Result<()> {
        self.begin()?;
        for id in self.read(unit, unit, BATCH)? {
            for (version, bytes) in (1..).zip(&self.shape.worked) {
                self.row(unit, id, version, *bytes)?;
            }
            self.message(ACKNOWLEDGEMENTS, id, self.shape.acknowledgement)?;
        }
        self.offset(unit)?;
        self.commit()
    }

    fn acknowledge(&mut self) -> Result<Vec<Id>> {
        self.begin()?;
        let first = self.shape.requested.len();
        let mut completed = Vec::new();
        for id in self.read(COORDINATOR, ACKNOWLEDGEMENTS, BATCH * UNITS)? {
            let answers = self.answers.entry(id).or_default();
            *answers += 1;
            let answers = *answers;
            self.row(COORDINATOR, id, first + answers, self.shape.acknowledged)?;
            if answers == UNITS {
                self.answers.remove(&id);
                for (version, bytes) in (first + UNITS + 1..).zip(&self.shape.completed) {
                    self.row(COORDINATOR, id, version, *bytes)?;
                }
                for bytes in &self.shape.completed_facts {
                    self.message(FACTS, id, *bytes)?;
                }
                completed.push(id);
            }
        }
        self.offset(COORDINATOR)?;
        self.commit()?;
        Ok(completed)
    }

    fn begin(&self) -> Result<()> {
        Ok(self.connection.prepare_cached("begin immediate")?.execute([]).map(drop)?)
    }

    fn commit(&self) -> Result<()> {
        Ok(self.connection.prepare_cached("commit")?.execute([]).map(drop)?)
    }

    fn row(&self, table: usize, id: Id, version: usize, bytes: usize) -> Result<()> {
        const SQL: [&str; UNITS + 1] = [
            "insert into rows_0 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_1 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_2 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_3 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_4 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_5 (stream, version, kind, payload) values (?, ?, ?, ?)",
            "insert into rows_6 (stream, version, kind, payload) values (?, ?, ?, ?)",
        ];
        let payload = self.pool.row(bytes, id.number + version as u64);
        let mut statement = self.connection.prepare_cached(SQL[table])?;
        statement.execute(params![id.to_bytes(), version as i64, KIND, payload])?;
        Ok(())
    }

    fn message(&self, table: usize, id: Id, bytes: usize) -> Result<()> {
        const SQL: [&str; UNITS + 2] = [
            "insert into messages_0 (key, payload) values (?, ?)",
            "insert into messages_1 (key, payload) values (?, ?)",
            "insert into messages_2 (key, payload) values (?, ?)",
            "insert into messages_3 (key, payload) values (?, ?)",
            "insert into messages_4 (key, payload) values (?, ?)",
            "insert into messages_5 (key, payload) values (?, ?)",
            "insert into messages_6 (key, payload) values (?, ?)",
            "insert into messages_7 (key, payload) values (?, ?)",
        ];
        let payload = self.pool.message(bytes, id.number + table as u64);
        self.connection.prepare_cached(SQL[table])?.execute(params![id.to_bytes(), payload])?;
        Ok(())
    }

    /// Reads a table's messages, payloads too, from where the consumer was.
    fn read(&mut self, consumer: usize, table: usize, max: usize) -> Result<Vec<Id>> {
        let sql = format!(
            "select position, key, payload from messages_{table} where position > ? order by position limit ?"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.next[consumer], max as i64])?;
        let mut ids = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            self.next[consumer] = row.get(0)?;
            ids.push(Id::from_bytes(row.get_ref(1)?.as_blob()?).context("a key is no id")?);
            bytes += row.get_ref(2)?.as_blob()?.to_vec().len();
        }
        anyhow::ensure!(ids.is_empty() || bytes > 0, "messages have no payload");
        Ok(ids)
    }

    fn offset(&self, consumer: usize) -> Result<()> {
        let sql =
            "insert into offsets values (?, ?) on conflict (consumer) do update set next = excluded.next";
        self.connection.prepare_cached(sql)?.execute(params![consumer as i64, self.next[consumer]])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_writes_the_rows_and_messages_of_a_fan_out() {
        let home = tempfile::tempdir().unwrap();
        let mut floor = Floor::new(&home.path().join("floor.db"), Shape::uniform(300)).unwrap();
        floor.pulse.put(Load::Closed(2));
        floor.pulse.begin().unwrap();
        assert!(floor.round().unwrap());
        assert_eq!(floor.pulse.end().unwrap().completed, 2);
        let count = |what: &str, tables: usize| -> i64 {
            let count = |table| {
                let sql = format!("select count(*) from {what}_{table}");
                floor.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
            };
            (0..tables).map(count).sum()
        };
        assert_eq!((count("rows", UNITS + 1), count("messages", FACTS + 1)), (2 * 14, 2 * 13));
    }
}
