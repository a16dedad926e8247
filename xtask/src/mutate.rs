// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask mutate`: breaks the code in one place at a time and sees which tests notice.
//!
//! A test that has never failed proves nothing. The faults are in `patches/bc/mutations.toml`; each
//! is built, booted under user-mode Linux (or QEMU where it needs several CPUs), and tested. A fault
//! that nobody notices is a finding, and so is a test that notices none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::exit::{self, Exit, Failure};
use crate::guest::{self, Kernel, Script};
use crate::kernel::sync::Overlay;
use crate::kernel::{Arch, Base, Config, build, config, fetch, version};
use crate::ktap::{self, Node, Status};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::series::{self, layout};
use crate::test::{self, Selftests};
use crate::{cmd, paths, toolchain};

/// Where the topic and its faults are, below the root of the repository.
const TOPIC: &str = "patches/bc";

/// The crate that compiles some of the kernel's files for this machine.
const CRATE: &str = "rust/bc";

/// How long one test program may take, and all of them: broken code hangs more often than other code.
const LIMITS: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(300));

/// The command line of `cargo xtask mutate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The faults to try; all unless said.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where the result goes as reStructuredText.
    #[arg(long, value_name = "FILE", conflicts_with = "names")]
    record: Option<PathBuf>,
}

/// What `mutations.toml` holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    /// Changes that every kernel here has, also the one without a fault.
    #[serde(default)]
    always: Vec<Mutation>,
    #[serde(rename = "mutation")]
    mutations: Vec<Mutation>,
}

/// One change of one file.
#[derive(Clone, Debug, Deserialize, Hash)]
#[serde(deny_unknown_fields)]
struct Mutation {
    name: String,
    /// What is wrong with the code then.
    what: String,
    /// A file of this repository, or of the kernel.
    file: PathBuf,
    /// Text that is in the file once, and what stands in its place.
    from: String,
    to: String,
    /// Where its tests can run.
    #[serde(default = "usual")]
    on: Arch,
    /// Why no test can see it.
    equivalent: Option<String>,
}

fn usual() -> Arch {
    Arch::Um
}

impl Catalogue {
    fn read(text: &str) -> Result<Self> {
        let catalogue: Self = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for mutation in &catalogue.mutations {
            anyhow::ensure!(
                names.insert(&mutation.name),
                "two are called `{}`",
                mutation.name
            );
        }
        Ok(catalogue)
    }

    /// Those that are asked for; all when none is named.
    fn choose(&self, names: &[String]) -> Result<Vec<&Mutation>> {
        if names.is_empty() {
            return Ok(self.mutations.iter().collect());
        }
        let named = |name: &String| {
            let found = self.mutations.iter().find(|known| known.name == *name);
            found.ok_or_else(|| {
                Failure::new(Exit::Usage, format!("no mutation is called `{name}`")).into()
            })
        };
        names.iter().map(named).collect()
    }
}

impl Mutation {
    /// The text of its file with the change in it.
    fn apply(&self, text: &str) -> Result<String> {
        match text.matches(&self.from).count() {
            1 => Ok(text.replacen(&self.from, &self.to, 1)),
            times => {
                let (name, file) = (&self.name, self.file.display());
                let what =
                    format!("the mutation `{name}` does not fit: {file} has it {times} times");
                Err(Failure::new(Exit::Findings, what).into())
            }
        }
    }

    /// The files of the series with the change in them.
    fn overlay(&self, tip: &Overlay, pristine: &Path) -> Result<Overlay> {
        let own = layout::kernel_path(&self.file).map(|(path, _)| path);
        let path = own.unwrap_or_else(|| self.file.clone());
        let bytes = match tip.get(&path) {
            Some(bytes) => bytes.clone(),
            None => fs::read(pristine.join(&path)).with_context(|| path.display().to_string())?,
        };
        let text = self.apply(&String::from_utf8(bytes)?)?;
        let mut overlay = tip.clone();
        overlay.insert(path, text.into_bytes());
        Ok(overlay)
    }

    /// Whether tests there have its code: on the host those that [`CRATE`] shares with the kernel.
    fn is_seen(&self, place: Place) -> bool {
        if let Place::Guest(arch) = place {
            return arch == self.on;
        }
        let Ok(inner) = self.file.strip_prefix(CRATE) else {
            return false;
        };
        let root = paths::repo().join(CRATE).join("tests/lib.rs");
        let path = format!("\"../{}\"", inner.display());
        fs::read_to_string(root).is_ok_and(|text| text.contains(&path))
    }
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Some test noticed it.
    Killed,
    /// None did.
    Survived,
    /// None did, and none can.
    Equivalent,
    /// It is no fault but nonsense: the compiler noticed.
    Broken,
}

/// A fault and who noticed it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    what: &'a str,
    verdict: Verdict,
    /// Why it is equivalent, or what the compiler said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    noticed_by: Vec<String>,
}

impl<'a> Row<'a> {
    fn new(mutation: &'a Mutation, noticed: Result<Vec<String>>) -> Result<Self> {
        let equivalent = mutation.equivalent.clone();
        let (verdict, reason, noticed_by) = match noticed {
            Ok(noticed) if !noticed.is_empty() => (Verdict::Killed, None, noticed),
            Ok(none) if equivalent.is_some() => (Verdict::Equivalent, equivalent, none),
            Ok(none) => (Verdict::Survived, None, none),
            Err(error) if exit::of(&error) == Exit::Findings => {
                (Verdict::Broken, Some(format!("{error:#}")), Vec::new())
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            name: &mutation.name,
            what: &mutation.what,
            verdict,
            reason,
            noticed_by,
        })
    }

    fn verdict(&self) -> String {
        match (self.verdict, self.noticed_by.len()) {
            (Verdict::Killed, 1) => "1 test".to_owned(),
            (Verdict::Killed, tests) => format!("{tests} tests"),
            (Verdict::Survived, _) => "survived".to_owned(),
            (Verdict::Equivalent, _) => "equivalent".to_owned(),
            (Verdict::Broken, _) => "does not build".to_owned(),
        }
    }
}

/// The result of a whole run.
#[derive(Debug, Serialize)]
struct Report<'a> {
    mutations: Vec<Row<'a>>,
    /// For each test of the runs without a fault those that it noticed.
    tests: BTreeMap<String, Vec<&'a str>>,
    findings: Vec<String>,
}

impl<'a> Report<'a> {
    /// `tests` are those that have to notice something.
    fn new(chosen: &[&Mutation], mutations: Vec<Row<'a>>, tests: &[String]) -> Self {
        let mut by_test: BTreeMap<_, Vec<_>> = BTreeMap::new();
        by_test.extend(tests.iter().map(|test| (test.clone(), Vec::new())));
        let mut findings = Vec::new();
        for (row, mutation) in mutations.iter().zip(chosen) {
            for test in &row.noticed_by {
                by_test.entry(test.clone()).or_default().push(row.name);
            }
            let reason = row.reason.as_deref().unwrap_or_default();
            match row.verdict {
                Verdict::Survived => findings.push(format!("{} survived: {}", row.name, row.what)),
                Verdict::Broken => findings.push(format!("{} is no fault: {reason}", row.name)),
                Verdict::Killed if mutation.equivalent.is_some() => {
                    findings.push(format!("{} was noticed and cannot be", row.name));
                }
                _ => {}
            }
        }
        let idle = by_test.iter().filter(|(_, caught)| caught.is_empty());
        findings.extend(idle.map(|(test, _)| format!("{test} noticed nothing")));
        Self {
            mutations,
            tests: by_test,
            findings,
        }
    }

    /// For people, who have seen the verdicts already.
    fn text(&self) -> String {
        let mut text = String::new();
        for (test, caught) in &self.tests {
            let _ = writeln!(text, "{test}: {}", caught.join(", "));
        }
        for finding in &self.findings {
            let _ = writeln!(text, "finding: {finding}");
        }
        text
    }

    /// For the documentation; nothing in it is different in the next run that has the same result.
    fn rst(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        let row = |text: &mut String, cells: &[&str]| {
            let _ = writeln!(text, "   * - {}", cells.join("\n     - "));
        };
        let table = ".. list-table::\n   :header-rows: 1\n\n";
        let _ = write!(text, "\nFaults\n======\n\n{table}");
        row(&mut text, &["fault", "what is wrong", "noticed by"]);
        for fault in &self.mutations {
            let verdict = match (&fault.reason, fault.verdict) {
                (Some(reason), Verdict::Equivalent) => format!("nobody: {reason}"),
                _ => fault.verdict(),
            };
            let name = format!("``{}``", fault.name);
            row(&mut text, &[&name, fault.what, &verdict]);
        }
        let _ = write!(text, "\nTests\n=====\n\n{table}");
        row(&mut text, &["test", "faults that it noticed"]);
        for (test, caught) in &self.tests {
            let caught = match caught.join("``, ``") {
                none if none.is_empty() => "none".to_owned(),
                names => format!("``{names}``"),
            };
            row(&mut text, &[test, &caught]);
        }
        text
    }
}

const INTRODUCTION: &str = "\
.. SPDX-License-Identifier: GPL-2.0

=========
Mutations
=========

Every test has failed at least once, for a reason. ``cargo xtask mutate`` breaks the code in one place
at a time, as ``patches/bc/mutations.toml`` says, and runs the tests: those of the crate
``rust/bc`` on the machine where a file belongs to it, the unit tests and the selftests under user-mode
Linux, and the selftests under QEMU where a fault needs several CPUs. It fails when nobody notices a
fault, or a test notices none. This page is its result; it is made by::

  $ cargo xtask mutate --record Documentation/toolkit/mutations.rst

The run takes about an hour, and goes on where it was interrupted. ``cargo xtask mutate NAME`` tries
one fault. One that is changed has to build, and the text it replaces has to be in its file once.
";

/// Tries the faults and prints who noticed them.
///
/// # Errors
///
/// A fault does not fit, the tests fail without any, or the machine is at fault.
pub fn run(args: &Args, base: &Base, json: bool) -> Result<ExitCode> {
    let _lock = Lock::exclusive("mutate")?;
    let topic = paths::repo().join(TOPIC);
    let file = topic.join("mutations.toml");
    let read = || Catalogue::read(&fs::read_to_string(&file)?);
    let catalogue = read().with_context(|| file.display().to_string())?;
    let chosen = catalogue.choose(&args.names)?;

    let (base, pristine) = fetch::resolve(base)?;
    let mut tip = series::tip_files(&topic, &pristine)?;
    for change in &catalogue.always {
        tip = change.overlay(&tip, &pristine)?;
    }
    // All of them fit before anything is built.
    let overlays = chosen
        .iter()
        .map(|mutation| mutation.overlay(&tip, &pristine));
    let overlays = overlays.collect::<Result<Vec<_>>>()?;

    let version = version(&pristine)?;
    let mut lab = Lab {
        base,
        version,
        control: Vec::new(),
    };
    for place in Place::ALL {
        if chosen.iter().any(|mutation| mutation.is_seen(place)) {
            lab.control(place, &tip)?;
        }
    }
    let mut bar = Bar::new("faults", Unit::Count("faults"), Some(chosen.len() as u64));
    let mut rows = Vec::new();
    for (mutation, overlay) in chosen.iter().zip(&overlays) {
        let row = Row::new(mutation, lab.noticed(mutation, overlay))?;
        bar.say(&format!("{}: {}", row.name, row.verdict()));
        bar.add(1);
        rows.push(row);
    }
    bar.finish();

    // Of some faults it is no wonder that not every test notices one.
    let tests = match args.names.as_slice() {
        [] => lab.tests(),
        _ => Vec::new(),
    };
    let report = Report::new(&chosen, rows, &tests);
    if let Some(path) = &args.record {
        fs::write(path, report.rst()).with_context(|| path.display().to_string())?;
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(match report.findings.as_slice() {
        [] => Exit::Pass,
        _ => Exit::Findings,
    }
    .into())
}

/// Where tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Host,
    Guest(Arch),
}

impl Place {
    const ALL: [Self; 3] = [Self::Host, Self::Guest(Arch::Um), Self::Guest(Arch::Qemu)];
}

/// The results without a fault, and what else it takes to try one.
struct Lab {
    base: Base,
    version: String,
    control: Vec<(Place, Vec<Node>)>,
}

impl Lab {
    /// Runs the tests without a fault; they must pass.
    fn control(&mut self, place: Place, tip: &Overlay) -> Result<()> {
        let groups = match place {
            Place::Host => on_host(None)?,
            Place::Guest(arch) => self.in_guest(arch, tip, "control")?,
        };
        if groups.is_empty() || groups.iter().any(Node::failed) {
            let failed = groups.iter().filter(|group| group.failed());
            let failed: Vec<_> = failed.map(|group| group.name.as_str()).collect();
            let what = format!("the tests fail without a fault: {}", failed.join(", "));
            return Err(Failure::new(Exit::Findings, what)
                .fix("cargo xtask test")
                .into());
        }
        self.control.push((place, groups));
        Ok(())
    }

    /// Every test that passes somewhere without a fault.
    fn tests(&self) -> Vec<String> {
        let groups = self.control.iter().flat_map(|(_, groups)| groups);
        groups.flat_map(passed).map(|(test, _)| test).collect()
    }

    /// Who notices a fault. What was noticed once is remembered for the same code and tools.
    fn noticed(&self, mutation: &Mutation, overlay: &Overlay) -> Result<Vec<String>> {
        let mut hasher = DefaultHasher::new();
        let wanted = config::wanted(&Config::new(mutation.on), &self.version)?;
        let code = overlay.iter();
        let code: Vec<_> = code
            .filter(|(path, _)| !path.starts_with("Documentation"))
            .collect();
        (mutation.on.name(), self.base.name(), code, wanted).hash(&mut hasher);
        (LIMITS, toolchain::make_args()?, toolchain::identity()?).hash(&mut hasher);
        let name = format!("noticed-{:016x}", hasher.finish());
        let memory = paths::cache().join("proven").join(name);
        if let Ok(text) = fs::read_to_string(&memory) {
            return Ok(serde_json::from_str(&text)?);
        }
        let mut noticed = Vec::new();
        for (place, control) in &self.control {
            noticed.extend(match place {
                _ if !mutation.is_seen(*place) => continue,
                Place::Host => who(control, &on_host(Some(mutation))?),
                Place::Guest(arch) => who(control, &self.in_guest(*arch, overlay, &mutation.name)?),
            });
        }
        if !noticed.is_empty() {
            fs::create_dir_all(paths::cache().join("proven"))?;
            fs::write(&memory, serde_json::to_string(&noticed)?)?;
        }
        Ok(noticed)
    }

    /// Builds a kernel and runs the unit tests, where there are any, and the selftests in one boot.
    fn in_guest(&self, arch: Arch, files: &Overlay, name: &str) -> Result<Vec<Node>> {
        let config = Config::new(arch);
        let wanted = config::wanted(&config, &self.version)?;
        let built = build::ensure_other(&self.base, &config, "mutate", files, wanted)?;
        let tests = Selftests::build(&built, "bc")?;
        if let Some(error) = tests.error {
            return Err(Failure::new(Exit::Findings, error.join("\n")).into());
        }
        let kernel = Kernel::from(built);
        let (program, all) = LIMITS;
        let text = test::selftest_script(&tests.programs, 1, program * kernel.slowness());
        let mut script = Script::new(format!("mutate-{name}"), text);
        for program in &tests.programs {
            script = script.file(program, tests.output.path().join(program));
        }
        script = test::with_modules(script, &kernel)?;
        script.limits.test = all;
        script.cmdline = vec!["kunit.filter_glob=bc_*".to_owned()];
        let console = guest::run(&kernel, script)?;

        let mut groups = ktap::parse("bc", &console.output).children;
        if kernel.has("KUNIT") {
            groups.extend(ktap::parse("kunit", &console.console).children);
        }
        // What is no test can notice a fault too, but not what is no fault of the kernel.
        let verdict = console.verdict();
        if verdict.exit == Exit::Infrastructure {
            return Err(console.failure(verdict.exit, &verdict.findings()).into());
        }
        if !verdict.splats.is_empty() {
            groups.push(Node::leaf("the kernel's log", Status::Fail));
        }
        if verdict.trouble.is_some() {
            groups.push(Node::leaf("the end of the guest", Status::Fail));
        }
        Ok(groups)
    }
}

/// Runs the tests of [`CRATE`] in a copy of the workspace.
fn on_host(mutation: Option<&Mutation>) -> Result<Vec<Node>> {
    let copy = paths::build_tree("mutate", "host");
    let (repo, sh, cargo) = (paths::repo(), Shell::new()?, cmd::cargo());
    let files = cmd!(
        sh,
        "git -C {repo} ls-files -z --cached --others --exclude-standard"
    );
    for file in cmd::run(files).ok()?.split_terminator('\0').map(Path::new) {
        let Ok(mut bytes) = fs::read(repo.join(file)) else {
            continue; // Removed and not yet committed.
        };
        if let Some(mutation) = mutation.filter(|mutation| mutation.file == file) {
            bytes = mutation.apply(&String::from_utf8(bytes)?)?.into_bytes();
        }
        let there = copy.join(file);
        if fs::read(&there).is_ok_and(|found| found == bytes) {
            continue;
        }
        fs::create_dir_all(there.parent().unwrap_or(&copy))?;
        fs::write(&there, bytes).with_context(|| there.display().to_string())?;
    }
    let manifest = copy.join(CRATE).join("Cargo.toml");
    let command = cmd!(
        sh,
        "{cargo} test --locked --no-fail-fast --manifest-path {manifest}"
    )
    .env("CARGO_TARGET_DIR", copy.join("target"))
    .env("CARGO_TERM_COLOR", "never")
    // The same values each time.
    .env("PROPTEST_RNG_SEED", "1")
    .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    let output = cmd::run(command).output()?;
    Ok(test::libtest(&output.text).children)
}

/// The tests of a group that passed, by their full names, and their own names.
fn passed(group: &Node) -> impl Iterator<Item = (String, &str)> {
    let passed = group
        .children
        .iter()
        .filter(|test| test.status == Status::Pass);
    passed.map(|test| (format!("{}: {}", group.name, test.name), test.name.as_str()))
}

/// Who noticed a fault: tests that pass in `control` and fail in `run`; in a group that was cut short
/// also the one that never got to its verdict.
fn who(control: &[Node], run: &[Node]) -> Vec<String> {
    let mut noticed = Vec::new();
    for group in run {
        let Some(usual) = control.iter().find(|usual| usual.name == group.name) else {
            noticed.push(group.name.clone());
            continue;
        };
        let mut missing = 0;
        for (test, name) in passed(usual) {
            let found = group.children.iter().find(|test| test.name == name);
            missing += usize::from(found.is_none());
            if found.map_or(missing == 1, Node::failed) {
                noticed.push(test);
            }
        }
    }
    noticed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(name: &str, from: &str, equivalent: Option<&str>) -> Mutation {
        Mutation {
            name: name.to_owned(),
            what: format!("{name} is wrong"),
            file: "rust/bc/limits.rs".into(),
            from: from.to_owned(),
            to: "b".to_owned(),
            on: Arch::Um,
            equivalent: equivalent.map(str::to_owned),
        }
    }

    #[test]
    fn the_faults_of_the_repository_can_be_read() {
        let text = fs::read_to_string(paths::repo().join(TOPIC).join("mutations.toml")).unwrap();
        let catalogue = Catalogue::read(&text).unwrap();
        for mutation in &catalogue.mutations {
            assert_ne!(mutation.from, mutation.to, "{}", mutation.name);
            // Those of the kernel's own files are looked for when they are tried.
            if let Ok(text) = fs::read_to_string(paths::repo().join(&mutation.file)) {
                mutation.apply(&text).unwrap();
            }
        }
    }

    #[test]
    fn names_are_unique_and_known() {
        let entry = "[[mutation]]\nname = 'a'\nwhat = 'w'\nfile = 'f'\nfrom = 'x'\nto = 'y'\n";
        let catalogue = Catalogue::read(&format!("{entry}on = 'qemu'\n")).unwrap();
        assert_eq!(catalogue.mutations[0].on, Arch::Qemu);
        assert_eq!(catalogue.choose(&[]).unwrap().len(), 1);
        let error = catalogue.choose(&["b".to_owned()]).unwrap_err();
        assert_eq!(exit::of(&error), Exit::Usage);
        assert!(Catalogue::read(&format!("{entry}{entry}")).is_err());
    }

    #[test]
    fn what_is_replaced_must_be_there_once() {
        let mutation = mutation("m", "a", None);
        assert_eq!(mutation.apply("cad").unwrap(), "cbd");
        for text in ["none", "aa"].map(|text| text.replace("none", "")) {
            let error = mutation.apply(&text).unwrap_err();
            assert!(error.to_string().contains("`m`"), "{error}");
            assert_eq!(exit::of(&error), Exit::Findings);
        }
    }

    #[test]
    fn a_change_is_made_to_the_series_or_to_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("fork.c"), "a").unwrap();
        let tip = Overlay::from([("kernel/cgroup/bc/limits.rs".into(), b"-a-".to_vec())]);
        let mut mutation = mutation("m", "a", None);
        let overlay = mutation.overlay(&tip, dir.path()).unwrap();
        assert_eq!(overlay[Path::new("kernel/cgroup/bc/limits.rs")], b"-b-");
        mutation.file = "fork.c".into();
        let overlay = mutation.overlay(&tip, dir.path()).unwrap();
        assert_eq!(overlay[Path::new("fork.c")], b"b");
        assert_eq!(overlay.len(), 2);
    }

    #[test]
    fn a_fault_is_seen_where_its_code_is() {
        let mut mutation = mutation("m", "a", None);
        assert!(mutation.is_seen(Place::Host));
        assert!(mutation.is_seen(Place::Guest(Arch::Um)));
        assert!(!mutation.is_seen(Place::Guest(Arch::Qemu)));
        mutation.file = "rust/bc/cgroup.rs".into();
        assert!(!mutation.is_seen(Place::Host));
    }

    #[test]
    fn who_fails_or_never_ends_noticed() {
        let leaf = |name: &str, status| Node::leaf(name, status);
        let control = [
            Node::group(
                "one",
                vec![
                    leaf("a", Status::Pass),
                    leaf("b", Status::Pass),
                    leaf("s", Status::Skip),
                ],
            ),
            Node::group("two", ["c", "d", "e"].map(|n| leaf(n, Status::Pass)).into()),
            Node::group("three", vec![leaf("f", Status::Pass)]),
        ];
        assert!(who(&control, &control).is_empty());
        let run = [
            Node::group(
                "one",
                vec![leaf("a", Status::Fail), leaf("b", Status::Pass)],
            ),
            Node::group("two", vec![leaf("c", Status::Pass)]),
            leaf("the end of the guest", Status::Fail),
        ];
        assert_eq!(
            who(&control, &run),
            ["one: a", "two: d", "the end of the guest"]
        );
    }

    #[test]
    fn findings_are_survivors_nonsense_and_idle_tests() {
        let mutations = [
            mutation("caught", "a", None),
            mutation("survivor", "a", None),
            mutation("invisible", "a", Some("it is only slower")),
            mutation("visible", "a", Some("so one thought")),
            mutation("nonsense", "a", None),
        ];
        let chosen: Vec<_> = mutations.iter().collect();
        let noticed = [
            Ok(vec!["t: a".to_owned(), "t: b".to_owned()]),
            Ok(vec![]),
            Ok(vec![]),
            Ok(vec!["t: a".to_owned()]),
            Err(Failure::new(Exit::Findings, "no such type").into()),
        ];
        let rows = chosen.iter().zip(noticed);
        let rows = rows.map(|(mutation, noticed)| Row::new(mutation, noticed).unwrap());
        let tests = ["t: a", "t: b", "t: idle"].map(str::to_owned);
        let report = Report::new(&chosen, rows.collect(), &tests);
        assert_eq!(
            report.findings,
            [
                "survivor survived: survivor is wrong",
                "visible was noticed and cannot be",
                "nonsense is no fault: no such type",
                "t: idle noticed nothing",
            ]
        );
        insta::assert_snapshot!(report.rst().replace(INTRODUCTION, ""));

        let error = crate::exit::infrastructure("no space");
        assert!(Row::new(chosen[0], Err(error.into())).is_err());
    }
}
