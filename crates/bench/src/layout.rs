//! Which processes the product runs as.

use exeunt::compose::Role;

use crate::{engine::Engine, unit::UNITS};

/// How many processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Processes {
    /// One with all services.
    One,
    /// One for each role.
    Roles,
}

/// The processes of one measurement.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub processes: Processes,
    /// Of each process.
    pub replicas: usize,
}

/// One process to start.
pub struct Part {
    /// Replicas have the same.
    pub name: &'static str,
    pub coordinates: bool,
    pub identifies: bool,
    pub arguments: Vec<String>,
}

impl Layout {
    pub fn one() -> Self {
        Self { processes: Processes::One, replicas: 1 }
    }

    /// What is to be started. The units are spread over the processes.
    pub fn parts(self, engine: &Engine, with_units: bool) -> Vec<Part> {
        let units: Vec<usize> = if with_units { (1..=UNITS).collect() } else { Vec::new() };
        let roles = match self.processes {
            Processes::One => vec![(None, units)],
            Processes::Roles => {
                let share =
                    |index: usize| units.iter().copied().skip(index).step_by(Role::ALL.len()).collect();
                Role::ALL.into_iter().enumerate().map(|(index, role)| (Some(role), share(index))).collect()
            }
        };
        let mut parts = Vec::new();
        for replica in 0..self.replicas {
            for (role, units) in &roles {
                let name = role.map_or("server", Role::name);
                let mut arguments = engine.arguments(&format!("{name}-{replica}"), with_units);
                arguments.extend(role.map(|role| format!("--roles={role}")));
                arguments.push(format!("--member-id=bench-{replica}"));
                arguments.extend(units.iter().map(|unit| format!("--unit={unit}")));
                parts.push(Part {
                    name,
                    coordinates: role.is_none_or(|role| role == Role::Cancellation),
                    identifies: role.is_none_or(|role| role == Role::Identity),
                    arguments,
                });
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineKind;

    #[test]
    fn with_a_process_per_role_each_unit_stands_in_one_of_each_replica() {
        let home = tempfile::tempdir().unwrap();
        let engine = Engine::new(EngineKind::Embedded, home.path()).unwrap();
        let layout = Layout { processes: Processes::Roles, replicas: 2 };
        let parts = layout.parts(&engine, true);
        assert_eq!(parts.len(), 12);
        let with =
            |text: &str| parts.iter().filter(|part| part.arguments.iter().any(|it| it == text)).count();
        for unit in 1..=UNITS {
            assert_eq!(with(&format!("--unit={unit}")), 2);
        }
        assert_eq!((with("--member-id=bench-0"), with("--roles=wallet")), (6, 2));
        assert_eq!(parts.iter().filter(|part| part.coordinates).count(), 2);
    }
}
