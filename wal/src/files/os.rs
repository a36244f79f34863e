//! A directory of the operating system.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use fs4::TryLockError;

use super::Files;
use crate::Beside;

/// A directory of the operating system. Missing parents are made.
///
/// Two locks in one directory exclude each other, whether one process wants them or two.
#[derive(Clone, Debug)]
pub struct Os {
    path: PathBuf,
}

impl Os {
    /// The directory at `path`, made if it is not there, durably.
    ///
    /// # Errors
    /// Those of the system; some of the missing directories may have been made.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let missing: Vec<&Path> = path.ancestors().take_while(|it| !it.exists()).collect();
        fs::create_dir_all(&path)?;
        for made in missing {
            match made.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent)?,
                _ => sync_dir(Path::new("."))?,
            }
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Files for Os {
    type File = File;

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn lock(&mut self, name: &str) -> io::Result<Option<File>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn len(&mut self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&mut self, file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match read_some(file, offset + done as u64, &mut bytes[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all(file, offset, bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_dir(&self.path)
    }

    fn random(&mut self) -> u64 {
        // The keys of the standard library's hash maps come from the system's randomness.
        RandomState::new().build_hasher().finish()
    }

    fn beside<T, W>(&mut self, work: W) -> io::Result<Beside<T>>
    where
        T: Send + 'static,
        W: FnOnce(&mut Self) -> T + Send + 'static,
    {
        let mut files = self.clone();
        let thread = thread::Builder::new().name("beside a log".to_owned());
        thread.spawn(move || work(&mut files)).map(Beside::running)
    }
}

#[cfg(unix)]
fn read_some(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(unix)]
fn write_all(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn read_some(mut file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(bytes)
}

#[cfg(not(unix))]
fn write_all(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Where directories cannot be opened as files, the file system's journal must keep names in order.
#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}
