// SPDX-License-Identifier: GPL-2.0

//! Builds, tests and prepares the beanpod patch series.

mod apt;
mod bench;
mod clean;
mod cmd;
mod demo;
mod doctor;
mod emulator;
mod exit;
mod faults;
mod forest;
mod fuzz;
mod guest;
mod kernel;
mod ktap;
mod lock;
mod memory;
mod model;
mod mutate;
mod paths;
mod probe;
mod progress;
mod report;
mod run;
mod runtimes;
mod series;
mod setup;
mod space;
mod splat;
mod test;
mod toolchain;
mod workload;
mod zdtm;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use exit::{Exit, Failure};
use kernel::{Arch, Base, Config, Flavour};
use lock::Lock;

/// Shown below `--help`; the numbers are those of [`Exit`].
const EXIT_CODES: &str = "\
Exit codes:
  0    everything asked for was done and held
  1    a test failed or a check found something
  2    the command line was wrong
  4    nothing was run because something it needs is missing
  123  the machine, the network or a tool failed
  124  a time limit passed
  255  the guest kernel crashed

Environment:
  BEANPOD_CACHE          where kernels and tools are kept (~/.cache/beanpod)
  BEANPOD_NO_INSTALL=1   install nothing, only report what is missing";

/// Builds, tests and prepares the beanpod patch series.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    /// The kernel series to work on: 7.3 unless said.
    #[arg(long, global = true, value_enum)]
    base: Option<Series>,
    /// A kernel source tree of your own to work on; it is only read.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "base")]
    tree: Option<PathBuf>,
    /// Prints results for machines.
    #[arg(long, global = true)]
    json: bool,
    /// Shows the commands that are run, and their details.
    #[arg(long, short, global = true)]
    verbose: bool,
}

impl Global {
    fn base(&self) -> Result<Base> {
        let Some(tree) = &self.tree else {
            return Ok(match self.base.unwrap_or_default() {
                Series::V7_3 => Base::V7_3,
                Series::V7_2 => Base::V7_2,
            });
        };
        let tree = tree
            .canonicalize()
            .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", tree.display())))?;
        Ok(Base::Tree(tree))
    }

    /// The base that was asked for, or every supported one.
    fn bases(&self) -> Result<Vec<Base>> {
        match (self.base, &self.tree) {
            (None, None) => Ok(vec![Base::V7_3, Base::V7_2]),
            _ => Ok(vec![self.base()?]),
        }
    }
}

/// The supported kernel series.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Series {
    #[default]
    #[value(name = "7.3")]
    V7_3,
    #[value(name = "7.2")]
    V7_2,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures what the series cost and gain, in instructions.
    Bench(bench::Args),
    /// Removes build and composed trees.
    Clean {
        /// Removes fetched sources and installed tools as well.
        #[arg(long)]
        all: bool,
    },
    /// Shows what a series is good for: containers at their limits, or processes that outlive a boot.
    Demo(demo::Args),
    /// Shows what is here, what is missing, and versions against the kernel's minimum.
    Doctor,
    /// Fails everything that the checkpoint engine asks the kernel for, one thing at a time.
    Faults(faults::Args),
    /// Saves and restores trees of processes that are drawn by chance.
    Forest(forest::Args),
    /// Makes the checkpoint engine, or its codec, read hostile images.
    Fuzz(fuzz::Args),
    /// Fetches, configures and builds kernels.
    Kernel {
        #[command(subcommand)]
        command: Kernel,
    },
    /// Compares what the controller counts with a model, while processes do things by chance.
    Model(model::Args),
    /// Breaks the code in one place at a time, and shows which tests notice.
    Mutate(mutate::Args),
    /// Boots the kernel, with a shell or for one command whose exit code is passed on.
    Run(run::Args),
    /// Composes, checks and refreshes the patch series.
    Series {
        #[command(subcommand)]
        command: series::cli::Command,
    },
    /// Installs what is missing.
    Setup,
    /// Runs tests: on this machine, in user-mode Linux and in QEMU.
    Test(test::Args),
    /// Runs the tests of CRIU in a guest, with the checkpoint engine and with CRIU.
    Zdtm(zdtm::Args),
}

#[derive(Debug, Subcommand)]
enum Kernel {
    /// Fetches the pristine source tree, and prints its path.
    Fetch,
    /// Composes the source tree and writes the configuration, and prints its path.
    Config(Which),
    /// Builds the kernel, and prints the path of its image.
    Build(Which),
    /// Prints the path of the built image, of QEMU unless said; builds it if it is not up to date.
    Path(Which),
    /// Writes rust-project.json, from which editors know the kernel's crates.
    RustProject,
}

/// Selects a kernel configuration.
#[derive(Debug, Args)]
struct Which {
    /// The series that it is patched with.
    #[arg(long, value_enum, default_value_t)]
    series: kernel::Series,
    /// Where the kernel runs.
    #[arg(long, value_enum)]
    on: Option<Arch>,
    #[command(flatten)]
    kind: Kind,
}

/// What kind of kernel, if not the usual one.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Kind {
    /// With the debug checks: KASAN, lockdep, kmemleak and others.
    #[arg(long)]
    debug: bool,
    /// With the data race detector.
    #[arg(long)]
    kcsan: bool,
    /// Without the series.
    #[arg(long)]
    unpatched: bool,
    /// With the series, its options off.
    #[arg(long)]
    off: bool,
    /// With the series, and with what CRIU and its tests need.
    #[arg(long)]
    peers: bool,
}

impl Kind {
    fn flavour(&self) -> Flavour {
        match self {
            Kind { debug: true, .. } => Flavour::Debug,
            Kind { kcsan: true, .. } => Flavour::Kcsan,
            Kind {
                unpatched: true, ..
            } => Flavour::Unpatched,
            Kind { off: true, .. } => Flavour::Off,
            Kind { peers: true, .. } => Flavour::Peers,
            _ => Flavour::Default,
        }
    }
}

impl Which {
    fn config(&self, usual: Arch) -> Result<Config> {
        let flavour = self.kind.flavour();
        let arch = self.on.unwrap_or(match (flavour, self.series) {
            (Flavour::Kcsan, _) | (_, kernel::Series::Ckpt) => Arch::Qemu,
            _ => usual,
        });
        self.series.check(arch)?;
        if (arch, flavour) == (Arch::Um, Flavour::Kcsan) {
            let what = "user-mode Linux has no data race detector";
            let failure = Failure::new(Exit::Usage, what).fix("say --on qemu with --kcsan");
            return Err(failure.into());
        }
        Ok(Config {
            series: self.series,
            arch,
            flavour,
        })
    }
}

fn main() -> ExitCode {
    // As for any program of the shell: who reads no further ends it, without a word.
    // SAFETY: There are no other threads yet, and the default action needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            if error.exit_code() == 0 {
                return ExitCode::SUCCESS;
            }
            eprintln!("{}", reproduce(env::args_os().skip(1)));
            return Exit::Usage.into();
        }
    };
    progress::set_verbose(cli.global.verbose);
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let failure = error
                .chain()
                .find_map(|cause| cause.downcast_ref::<Failure>());
            if let Some(fix) = failure.and_then(|failure| failure.fix.as_ref()) {
                eprintln!("  fix: {fix}");
            }
            eprintln!("{}", reproduce(env::args_os().skip(1)));
            exit::of(&error).into()
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let global = &cli.global;
    if let (true, Command::Demo(_) | Command::Run(_)) = (global.json, &cli.command) {
        let what = "this command has no results for machines: leave `--json` out";
        return Err(Failure::new(Exit::Usage, what).into());
    }
    let _cache = match &cli.command {
        Command::Clean { .. } => Some(Lock::exclusive(lock::CACHE)?),
        // It shall say what is wrong even where no cache can be written.
        Command::Doctor => None,
        _ => Some(Lock::shared(lock::CACHE)?),
    };
    match &cli.command {
        Command::Bench(args) => return bench::run(args, &global.base()?, global.json),
        Command::Clean { all } => {
            let freed = clean::run(*all)?;
            print(global.json, &freed, &freed.text())
        }
        Command::Demo(args) => return demo::run(args, &global.base()?),
        Command::Doctor => doctor::run_doctor(global.json),
        Command::Faults(args) => {
            setup::ensure()?;
            return faults::run(args, &global.base()?, global.json);
        }
        Command::Forest(args) => {
            setup::ensure()?;
            return forest::run(args, &global.base()?, global.json);
        }
        Command::Fuzz(args) => {
            setup::ensure()?;
            return fuzz::run(args, &global.base()?, global.json);
        }
        Command::Kernel { command } => kernel(command, global),
        Command::Model(args) => {
            setup::ensure()?;
            return model::run(args, &global.base()?, global.json);
        }
        Command::Mutate(args) => {
            setup::ensure()?;
            return mutate::run(args, &global.base()?, global.json);
        }
        Command::Run(args) => return run::run(args, &global.base()?),
        Command::Series { command } => {
            series::cli::run(command, &global.base()?, &global.bases()?, global.json)
        }
        Command::Setup => setup::ensure(),
        Command::Test(args) => {
            setup::ensure()?;
            return test::run(args, &global.base()?, global.json);
        }
        Command::Zdtm(args) => return zdtm::run(args, &global.base()?, global.json),
    }?;
    Ok(Exit::Pass.into())
}

fn kernel(command: &Kernel, global: &Global) -> Result<()> {
    let base = global.base()?;
    let built = |which: &Which, usual| {
        let built = kernel::build::ensure(&base, &which.config(usual)?)?;
        print(global.json, &built, &built.image.display().to_string())
    };
    match command {
        Kernel::Fetch => print_path(global, &kernel::fetch::ensure(&base)?),
        Kernel::Config(which) => {
            let config = which.config(Arch::Um)?;
            print_path(global, &kernel::build::configure(&base, &config)?)
        }
        Kernel::Build(which) => built(which, Arch::Um),
        Kernel::Path(which) => built(which, Arch::Qemu),
        Kernel::RustProject => {
            let config = Config::new(Arch::Qemu);
            print_path(global, &kernel::build::rust_project(&base, &config)?)
        }
    }
}

/// Prints a result, for machines if asked to.
fn print(json: bool, value: &impl Serialize, text: &str) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(value)?);
    } else if !text.is_empty() {
        println!("{text}");
    }
    Ok(())
}

fn print_path(global: &Global, path: &Path) -> Result<()> {
    print(global.json, &path, &path.display().to_string())
}

/// The last line of every failure: the command that shows it again.
fn reproduce(args: impl Iterator<Item = OsString>) -> String {
    let words: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    format!("reproduce: cargo xtask {}", shell_words::join(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn which(args: &[&str]) -> Result<Config> {
        let args = ["xtask", "kernel", "path"].iter().chain(args);
        match Cli::try_parse_from(args)?.command {
            Command::Kernel {
                command: Kernel::Path(which),
            } => which.config(Arch::Qemu),
            command => panic!("{command:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_states_every_exit_code() {
        use Exit::*;
        let codes = [
            Pass,
            Findings,
            Usage,
            Skipped,
            Infrastructure,
            TimeLimit,
            GuestCrash,
        ];
        for code in codes {
            let start = format!("  {} ", code as u8);
            let mut lines = EXIT_CODES.lines();
            assert!(lines.any(|line| line.starts_with(&start)), "{code:?}");
        }
    }

    #[test]
    fn options_select_a_configuration() {
        assert_eq!(which(&[]).unwrap().name(), "qemu");
        assert_eq!(
            which(&["--on", "um", "--debug"]).unwrap().name(),
            "um-debug"
        );
        assert_eq!(which(&["--kcsan"]).unwrap().name(), "qemu-kcsan");
        assert_eq!(which(&["--off"]).unwrap().name(), "qemu-off");
        assert_eq!(which(&["--unpatched"]).unwrap().name(), "qemu-unpatched");
        assert!(which(&["--kcsan", "--debug"]).is_err());
        let error = which(&["--kcsan", "--on", "um"]).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Usage);
    }

    #[test]
    fn the_reproducing_command_survives_a_shell() {
        let args = ["run", "--", "echo a", "it's", ""].map(OsString::from);
        assert_eq!(
            reproduce(args.into_iter()),
            r"reproduce: cargo xtask run -- 'echo a' 'it'\''s' ''"
        );
    }
}
