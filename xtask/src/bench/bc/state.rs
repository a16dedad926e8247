// SPDX-License-Identifier: GPL-2.0

//! Who measures in which kernel, and what it may cost.

use crate::kernel::Flavour;

/// Who measures in which kernel.
pub struct State {
    pub name: &'static str,
    pub flavour: Flavour,
    /// Shell that prepares it; the measuring process is the shell's child.
    pub prepare: &'static str,
    pub target: Target,
}

impl State {
    /// Whether it measures the code of the unpatched kernel, as `bench objects` proves: what that costs
    /// more or less is the A/A band.
    pub fn is_unpatched(&self) -> bool {
        matches!(self.flavour, Flavour::Unpatched | Flavour::Off) && self.prepare.is_empty()
    }
}

/// What may cost more than in the unpatched kernel, by at most how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    None,
    /// Instructions for each counted object.
    PerObject(f64),
    /// A part of the operation.
    Part(f64),
}

impl Target {
    /// The most that an operation may cost more: of so many objects, so many instructions without
    /// the controller.
    pub fn most(self, operation: &str, objects: u32, unpatched: f64) -> Option<f64> {
        match self {
            Self::None => None,
            // What makes none is a matter of the band alone.
            Self::PerObject(most) => (objects > 0).then(|| most * f64::from(objects)),
            // Whoever locks a file does little else, and each lock is an object.
            Self::Part(_) if operation == "flock" => Some(0.03 * unpatched),
            Self::Part(part) => Some(part * unpatched),
        }
    }
}

/// The first is what the others are compared with.
pub const STATES: [State; 8] = [
    State {
        name: "unpatched",
        flavour: Flavour::Unpatched,
        prepare: "",
        target: Target::None,
    },
    State {
        name: "unpatched again",
        flavour: Flavour::Unpatched,
        prepare: "",
        target: Target::None,
    },
    // `bench objects` compares the code itself.
    State {
        name: "option off",
        flavour: Flavour::Off,
        prepare: "",
        target: Target::None,
    },
    State {
        name: "unused",
        flavour: Flavour::Default,
        prepare: "",
        target: Target::PerObject(8.0),
    },
    State {
        name: "used elsewhere",
        flavour: Flavour::Default,
        prepare: "container bc a; limit a",
        target: Target::None,
    },
    State {
        name: "limited, depth 1",
        flavour: Flavour::Default,
        prepare: "container bc a; limit a; enter a",
        target: Target::Part(0.02),
    },
    State {
        name: "limited, depth 3",
        flavour: Flavour::Default,
        prepare: "container bc a/b/c; limit a; limit a/b; limit a/b/c; enter a/b/c",
        target: Target::Part(0.03),
    },
    // What mainline's own controllers cost for the same.
    State {
        name: "memory and pids, depth 1",
        flavour: Flavour::Unpatched,
        prepare: "container 'memory pids' a
                  echo 400M >$root/a/memory.max; echo 1000 >$root/a/pids.max; enter a",
        target: Target::None,
    },
];

/// Functions for [`State::prepare`].
pub const PRELUDE: &str = "\
set -e
root=/sys/fs/cgroup
container() {
	path=$root
	for name in $(echo $2 | tr / ' '); do
		for controller in $1; do
			echo +$controller >$path/cgroup.subtree_control
		done
		path=$path/$name
		mkdir $path
	done
}
limit() {
	for resource in $(cut -d ' ' -f 1 $root/$1/bc.max); do
		case $resource in
		*pages) many=100 ;;
		*buf) many=10000 ;;
		*) many=1 ;;
		esac
		echo $resource $((10000 * many)) >$root/$1/bc.high
		echo $resource $((11000 * many)) >$root/$1/bc.max
	done
}
enter() {
	echo $$ >$root/$1/cgroup.procs
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_follows_what_is_done() {
        assert_eq!(Target::None.most("pipe", 2, 1000.0), None);
        assert_eq!(Target::PerObject(8.0).most("pipe", 2, 1000.0), Some(16.0));
        assert_eq!(Target::PerObject(8.0).most("getppid", 0, 1000.0), None);
        assert_eq!(Target::Part(0.02).most("pipe", 2, 1000.0), Some(20.0));
        assert_eq!(Target::Part(0.02).most("flock", 1, 1000.0), Some(30.0));
    }
}
