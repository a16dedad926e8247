// SPDX-License-Identifier: GPL-2.0

//! Packages of other suites of the Debian archive, through a private configuration of apt.
//!
//! The mirror is the one that the machine's own configuration uses, signatures are checked against
//! Debian's archive keyring, and lists and downloads stay in the cache: neither the machine's
//! sources nor its package state are read for anything else or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::exit::{Failure, infrastructure};
use crate::lock::Lock;
use crate::progress::{Bar, Unit};
use crate::toolchain::Version;
use crate::{cmd, paths};

/// Where Debian keeps the keys that sign its archive.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// A package that can be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub package: String,
    /// Its whole version.
    pub version: String,
    /// The size of the file in bytes.
    pub size: u64,
}

/// One suite of the archive with its private lists.
#[derive(Debug)]
pub struct Suite {
    name: String,
    config: PathBuf,
    _lock: Lock,
}

impl Suite {
    /// Fetches the lists of a suite and checks their signature; nothing if the mirror has no such
    /// suite.
    ///
    /// # Errors
    ///
    /// The machine's apt does not use a Debian mirror, or the mirror cannot be reached.
    pub fn open(name: &str) -> Result<Option<Self>> {
        let lock = Lock::exclusive(&format!("apt-{name}"))?;
        let dir = paths::cache().join("apt").join(name);
        for part in ["sources.d", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part)).with_context(|| dir.display().to_string())?;
        }
        let keyring = KEYRINGS
            .iter()
            .find(|path| Path::new(path).exists())
            .ok_or_else(|| {
                infrastructure("Debian's archive keyring is missing")
                    .fix("apt-get install debian-archive-keyring")
            })?;
        let source = sources_text(&mirror()?, name, keyring);
        fs::write(dir.join("sources.d/beanpod.sources"), source)?;
        fs::write(dir.join("status"), "")?;
        let config = dir.join("apt.conf");
        fs::write(&config, config_text(&dir))?;
        let suite = Self {
            name: name.into(),
            config,
            _lock: lock,
        };
        let sh = Shell::new()?;
        let config = &suite.config;
        eprintln!("reading the package lists of {name} ...");
        let update = cmd!(sh, "apt-get -c {config} -q -o Acquire::Retries=3 update");
        let output = cmd::run(update.env("LC_ALL", "C")).output()?;
        // apt ends with success after a list that it could not fetch or would not trust.
        let trouble = trouble(&output.text);
        if is_absent(&trouble) {
            return Ok(None);
        }
        if !output.status.success() || !trouble.is_empty() {
            let what = format!("the suite {name} cannot be read:\n{}", trouble.join("\n"));
            return Err(infrastructure(what)
                .fix("check the network, or use a tree of your own with --tree PATH")
                .into());
        }
        Ok(Some(suite))
    }

    /// The suite's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The newest version of a package, if the suite has any.
    ///
    /// # Errors
    ///
    /// apt cannot be run.
    pub fn newest(&self, package: &str) -> Result<Option<Candidate>> {
        let sh = Shell::new()?;
        let config = &self.config;
        let show = cmd!(sh, "apt-cache -c {config} show {package}");
        let output = cmd::run(show.env("LC_ALL", "C")).output()?;
        Ok(newest(&output.text, package))
    }

    /// Downloads a package into `dir`; apt checks it against the signed lists.
    ///
    /// # Errors
    ///
    /// The download fails.
    pub fn download(&self, candidate: &Candidate, dir: &Path) -> Result<PathBuf> {
        fs::create_dir_all(dir)?;
        let sh = Shell::new()?;
        sh.change_dir(dir);
        let config = &self.config;
        let wanted = format!("{}={}", candidate.package, candidate.version);
        let download = cmd!(
            sh,
            "apt-get -c {config} -q -o Acquire::Retries=3 download {wanted}"
        );
        let what = format!("downloading {} {}", candidate.package, candidate.version);
        let mut bar = Bar::new(what, Unit::Bytes, Some(candidate.size));
        let ended = AtomicBool::new(false);
        let result = thread::scope(|scope| {
            // apt writes no progress without a terminal; the growing file tells as much.
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(200));
                    bar.set(largest(dir).min(candidate.size));
                }
            });
            let result = cmd::run(download.env("LC_ALL", "C"))
                .limit(Duration::from_secs(3600))
                .ok();
            ended.store(true, Ordering::Relaxed);
            result
        });
        result?;
        bar.set(candidate.size);
        bar.finish();
        let prefix = format!("{}_", candidate.package);
        let found = fs::read_dir(dir)?.flatten().find(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&prefix) && name.ends_with(".deb")
        });
        let file = found.with_context(|| format!("apt-get left no {prefix}*.deb"))?;
        Ok(file.path())
    }

    /// Downloads packages with all that they depend on, and returns the files.
    ///
    /// # Errors
    ///
    /// The suite has not all of them, or a download fails.
    pub fn download_whole(&self, packages: &[&str], dir: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(dir.join("partial"))?;
        let sh = Shell::new()?;
        let config = &self.config;
        let archives = format!("Dir::Cache::archives={}", dir.display());
        eprintln!("downloading {} ...", packages.join(", "));
        let install = cmd!(
            sh,
            "apt-get -c {config} -q -y -o {archives} -o Acquire::Retries=3 --no-install-recommends --download-only install {packages...}"
        );
        cmd::run(install.env("LC_ALL", "C"))
            .limit(Duration::from_secs(3600))
            .ok()?;
        let entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
        let files: Vec<PathBuf> = entries.collect::<Result<_>>()?;
        let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
        Ok(files.into_iter().filter(is_package).collect())
    }
}

/// The errors in what `apt-get update` printed, each with the line that says why.
fn trouble(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("E:") || line.starts_with("Err:") {
            found.push(line);
            found.extend(lines.next_if(|next| next.starts_with("  ")));
        }
    }
    found
}

/// Whether the mirror answered, and has no such suite.
fn is_absent(trouble: &[&str]) -> bool {
    trouble.iter().any(|line| line.starts_with("  404 "))
        && trouble.iter().all(|line| {
            line.starts_with("Err:")
                || line.starts_with("  404 ")
                || line.ends_with("does not have a Release file.")
        })
}

/// The size of the largest file of a directory.
fn largest(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| Some(entry.metadata().ok()?.len()));
    sizes.max().unwrap_or(0)
}

/// The mirror of the Debian archive proper that the machine's own configuration uses.
fn mirror() -> Result<String> {
    let sh = Shell::new()?;
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let text = cmd::run(cmd!(sh, "apt-get indextargets --format {format}")).ok()?;
    find_mirror(&text).ok_or_else(|| no_mirror().into())
}

fn no_mirror() -> Failure {
    infrastructure("this machine's apt uses no mirror of the Debian archive")
        .fix("run `apt-get update` if that was never done, or use a kernel tree of your own: --tree PATH")
}

fn find_mirror(targets: &str) -> Option<String> {
    let of_debian = |line: &str| {
        let (uri, labels) = line.split_once(' ')?;
        (labels == "Debian Debian").then(|| uri.to_owned())
    };
    targets.lines().find_map(of_debian)
}

fn sources_text(mirror: &str, suite: &str, keyring: &str) -> String {
    format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {keyring}\n")
}

/// Read after the machine's own configuration, so that its proxies stay in force.
fn config_text(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{dir}/sources.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "{dir}/lists";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}/cache";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::Contents-deb;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

/// The newest of the versions that `apt-cache show` lists.
fn newest(text: &str, package: &str) -> Option<Candidate> {
    let field = |stanza: &str, name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        stanza.lines().find_map(value)
    };
    let candidates = text.split("\n\n").filter_map(|stanza| {
        Some(Candidate {
            package: field(stanza, "Package").filter(|name| name == package)?,
            version: field(stanza, "Version")?,
            size: field(stanza, "Size")?.parse().ok()?,
        })
    });
    candidates.max_by_key(|candidate| Version::of_package(&candidate.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_names_one_suite_and_the_keyring() {
        assert_eq!(
            sources_text("http://mirror.invalid/debian/", "sid", "/keys.gpg"),
            "Types: deb\nURIs: http://mirror.invalid/debian/\nSuites: sid\n\
             Components: main\nSigned-By: /keys.gpg\n"
        );
    }

    #[test]
    fn the_mirror_is_the_archive_itself() {
        let targets = "http://other.invalid/ Other Other\n\
                       http://mirror.invalid/debian-security/ Debian Debian-Security\n\
                       http://mirror.invalid/debian/ Debian Debian\n";
        assert_eq!(
            find_mirror(targets).as_deref(),
            Some("http://mirror.invalid/debian/")
        );
        assert_eq!(find_mirror("http://other.invalid/ Other Other\n"), None);
    }

    #[test]
    fn a_suite_that_is_not_there_is_no_failure_of_the_mirror() {
        let gone = "Ign:1 http://mirror.invalid/debian x InRelease\n\
                    Err:2 http://mirror.invalid/debian x Release\n  \
                    404  Not Found [IP: 192.0.2.1 80]\nReading package lists...\n\
                    E: The repository 'http://mirror.invalid/debian x Release' does not have a \
                    Release file.\n";
        assert_eq!(trouble(gone).len(), 3);
        assert!(is_absent(&trouble(gone)));
        let unreachable = gone.replace("404  Not Found", "Could not connect");
        assert!(!is_absent(&trouble(&unreachable)));
        // Lists that the suite names, but the mirror has not: it is about to be updated.
        let torn = "Err:3 http://mirror.invalid/debian x/main amd64 Packages\n  \
                    404  Not Found [IP: 192.0.2.1 80]\nE: Failed to fetch x  404  Not Found\n\
                    E: Some index files failed to download. They have been ignored.\n";
        assert!(!is_absent(&trouble(torn)));
        assert!(!is_absent(&trouble(
            "Hit:1 http://mirror.invalid/debian x InRelease\n"
        )));
    }

    #[test]
    fn the_private_configuration_points_into_the_cache_only() {
        let text = config_text(Path::new("/cache/apt/sid"));
        for key in ["Dir::Etc::SourceParts", "Dir::State::Lists", "Dir::Cache"] {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            assert!(line.contains("\"/cache/apt/sid/"), "{line}");
        }
        assert!(text.contains("APT::Get::AllowUnauthenticated \"false\""));
    }

    #[test]
    fn the_newest_version_wins_by_number() {
        let stanza = |version: &str, size: u64| {
            format!("Package: linux-source-7.2\nVersion: {version}\nSize: {size}\n\n")
        };
        let text = stanza("7.2.9-1~bpo13+1", 1) + &stanza("7.2.12-1~bpo13+1", 2);
        let found = newest(&text, "linux-source-7.2").unwrap();
        assert_eq!(
            (found.version.as_str(), found.size),
            ("7.2.12-1~bpo13+1", 2)
        );
        assert_eq!(
            newest("N: Unable to locate package\n", "linux-source-7.2"),
            None
        );
    }
}
