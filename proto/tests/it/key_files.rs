//! Key files go both ways between us and `ssh-keygen`.

use std::path::Path;
use std::process::Command;

use skep_proto::key::SigningKey;
use skep_proto::key::file::{Error, KeyFile, Protection, encode};

const PASSPHRASE: &str = "correct horse";

/// Whether the outside tool is there; says in words what is skipped without it.
#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
fn have_ssh_keygen() -> bool {
    let there = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !there {
        println!("skipped: no `ssh-keygen` here (Debian: openssh-client)");
    }
    there
}

fn ssh_keygen(args: &[&str], folder: &Path) -> String {
    let output = Command::new("ssh-keygen")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("ssh-keygen runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen {args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// A key file by `ssh-keygen`, and its public line.
fn made(extra: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut args = vec!["-q", "-f", "id", "-C", "their comment"];
    args.extend(extra);
    ssh_keygen(&args, folder.path());
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("written");
    (read("id"), read("id.pub"))
}

#[test]
fn files_by_ssh_keygen_open() {
    if !have_ssh_keygen() {
        return;
    }
    let protected = ["-t", "ed25519", "-N", PASSPHRASE];
    for cipher in [
        "aes256-ctr",
        "aes256-cbc",
        "aes128-ctr",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let (text, public) = made(&[&protected[..], &["-Z", cipher]].concat());
        let file = KeyFile::parse(&text).expect(cipher);
        assert!(file.is_encrypted(), "{cipher}");
        assert_eq!(
            file.open(Some("wrong")).err(),
            Some(Error::WrongPassphrase),
            "{cipher}"
        );
        let opened = file.open(Some(PASSPHRASE)).expect(cipher);
        assert_eq!(opened.comment, "their comment");
        assert!(public.starts_with(&opened.signing.key().to_openssh()));
    }
    let (text, public) = made(&["-t", "ed25519", "-N", ""]);
    let opened = KeyFile::parse(&text).and_then(|file| file.open(None));
    let opened = opened.expect("not encrypted");
    assert!(public.starts_with(&opened.signing.key().to_openssh()));
}

#[test]
fn other_algorithms_by_ssh_keygen_are_named() {
    if !have_ssh_keygen() {
        return;
    }
    for (algorithm, name) in [("ecdsa", "ecdsa-sha2-nistp256"), ("rsa", "ssh-rsa")] {
        for passphrase in ["", PASSPHRASE] {
            let (text, _) = made(&["-t", algorithm, "-N", passphrase]);
            assert_eq!(
                KeyFile::parse(&text).err(),
                Some(Error::NotEd25519(name.to_owned())),
                "with passphrase {passphrase:?}"
            );
        }
    }
}

#[test]
fn ssh_keygen_reads_ours() {
    use std::os::unix::fs::PermissionsExt as _;
    if !have_ssh_keygen() {
        return;
    }
    let signing = SigningKey::from_seed(&[7; 32]);
    let protection = Protection {
        passphrase: PASSPHRASE,
        salt: [9; 16],
        checkint: 0x0102_0304,
    };
    for (protection, passphrase) in [(None, ""), (Some(protection), PASSPHRASE)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ours");
        let text = encode(&signing, "our comment", protection).expect("encodes");
        std::fs::write(&path, text.as_bytes()).expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("ssh-keygen demands 0600");

        let list = ssh_keygen(&["-l", "-f", "ours"], folder.path());
        assert!(list.contains(&signing.key().fingerprint()), "{list}");
        let public = ssh_keygen(&["-y", "-P", passphrase, "-f", "ours"], folder.path());
        let expected = format!("{} our comment", signing.key().to_openssh());
        assert_eq!(public.trim(), expected);
    }
}
