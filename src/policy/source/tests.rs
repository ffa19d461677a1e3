//! What is read of a pack's folder, and what is refused.

use super::*;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let at = folder.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
    }
    folder
}

fn codes(result: Result<Source, Vec<Diagnostic>>) -> Vec<(String, &'static str)> {
    result.unwrap_err().into_iter().map(|fault| (fault.file, fault.code)).collect()
}

#[test]
fn only_the_files_of_a_pack_are_read() {
    let at = folder(&[
        ("pack.toml", b"\xef\xbb\xbfa = 1\r\n"),
        ("policies/b.rhai", b"b"),
        ("policies/a.rhai", b"a"),
        ("policies/.hidden.rhai", b"x"),
        ("policies/notes.md", b"x"),
        ("policies/deeper/c.rhai", b"x"),
        ("drafts/d.rhai", b"x"),
        ("texts/en.toml", b"e"),
        ("sample.toml", b"s"),
    ]);
    let source = Source::from_folder(at.path()).unwrap();
    let paths: Vec<&str> = source.files().map(|(path, _)| path).collect();
    assert_eq!(paths, ["pack.toml", "policies/a.rhai", "policies/b.rhai", "texts/en.toml"]);
    assert_eq!(source.manifest(), "a = 1\n");
    assert_eq!(source.sample(), Some("s"));
    assert_eq!(source.scripts().into_keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_digest_knows_where_paths_and_texts_end_and_nothing_of_the_sample() {
    let of = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        Source::from_files(files).unwrap().digest()
    };
    let base = of(&[("pack.toml", "x"), ("lib/a.rhai", "1"), ("lib/b.rhai", "2")]);
    assert_eq!(base, of(&[("pack.toml", "x"), ("lib/a.rhai", "1"), ("lib/b.rhai", "2"), ("sample.toml", "s")]));
    assert_ne!(base, of(&[("pack.toml", "x"), ("lib/a.rhai", "1lib/b.rhai2")]));
    assert_ne!(base, of(&[("pack.toml", "x"), ("lib/a.rhai", "2"), ("lib/b.rhai", "1")]));
    let shown = base.to_string();
    assert!(shown.starts_with("sha256:") && shown.len() == 71, "{shown}");
}

#[test]
fn what_is_stored_comes_back() {
    let at = folder(&[("pack.toml", "título = \"烟\"\n".as_bytes()), ("lib/a.rhai", b"fn a() {}\n")]);
    let source = Source::from_folder(at.path()).unwrap();
    let again = Source::from_json(&source.to_json()).unwrap();
    assert_eq!(again.digest(), source.digest());
    assert_eq!(again.to_json(), source.to_json());
    assert_eq!(codes(Source::from_json("{}"))[0].1, "stored_source");
    let outside = r#"{"files": {"pack.toml": "", "../x.rhai": "", "lib/../../x.rhai": ""}}"#;
    assert_eq!(codes(Source::from_json(outside)).len(), 2);
}

#[test]
fn every_unreadable_file_is_told() {
    let large = vec![b'#'; MAX_FILE_BYTES + 1];
    let at = folder(&[("policies/a.rhai", &large), ("texts/zh.toml", b"ok = 1\nbad = \"\xd1\xcc\"\n")]);
    let faults = Source::from_folder(at.path()).unwrap_err();
    let told: Vec<_> = faults.iter().map(|f| (f.file.as_str(), f.code, f.line)).collect();
    assert_eq!(
        told,
        [
            ("policies/a.rhai", "too_large", None),
            ("texts/zh.toml", "encoding", Some(2)),
            ("pack.toml", "no_manifest", None)
        ]
    );
    assert_eq!(codes(Source::from_folder(&at.path().join("nowhere")))[0].1, "folder");
}

#[test]
fn a_link_out_of_the_pack_is_refused_and_one_inside_is_followed() {
    let at = folder(&[("pack.toml", b""), ("lib/a.rhai", b"fn a() {}")]);
    let secret = folder(&[("secret", b"token")]);
    std::os::unix::fs::symlink(secret.path().join("secret"), at.path().join("lib/b.rhai")).unwrap();
    std::os::unix::fs::symlink(secret.path(), at.path().join("texts")).unwrap();
    assert_eq!(
        codes(Source::from_folder(at.path())),
        [("lib/b.rhai".to_owned(), "link"), ("texts".to_owned(), "link")]
    );
    std::fs::remove_file(at.path().join("lib/b.rhai")).unwrap();
    std::fs::remove_file(at.path().join("texts")).unwrap();
    std::os::unix::fs::symlink(at.path().join("lib/a.rhai"), at.path().join("lib/c.rhai")).unwrap();
    assert_eq!(Source::from_folder(at.path()).unwrap().file("lib/c.rhai"), Some("fn a() {}"));
}

#[test]
fn a_pack_has_at_most_500_files() {
    let files = (0..MAX_FILES).map(|n| (format!("lib/f{n}.rhai"), String::new()));
    let files = files.chain([("pack.toml".to_owned(), String::new())]).collect();
    assert_eq!(codes(Source::from_files(files)), [(String::new(), "too_many_files")]);
}

#[test]
fn general_policies_that_are_taken_belong_to_the_content_and_others_do_not() {
    let at = folder(&[
        ("shop/pack.toml", b"[policies]\nabc = { common = true }\nown = { common = false }\n"),
        ("common/abc/policy.toml", b"declared"),
        ("common/abc/policy.rhai", b"script"),
        ("common/abc/cases.toml", b"cases"),
        ("common/abc/texts/en.toml", b"texts"),
        ("common/abc/notes.md", b"x"),
        ("common/own/policy.rhai", b"x"),
    ]);
    let source = Source::from_folder(&at.path().join("shop")).unwrap();
    let paths: Vec<&str> = source.files().map(|(path, _)| path).collect();
    let of_abc = ["cases.toml", "policy.rhai", "policy.toml", "texts/en.toml"].map(|file| format!("common/abc/{file}"));
    assert_eq!(paths, [&of_abc[..], &["pack.toml".to_owned()]].concat());
    assert_eq!((source.common("abc"), source.common("own")), (Some("declared"), None));
    assert_eq!(source.scripts(), BTreeMap::from([("abc".to_owned(), "script".to_owned())]));
    assert_eq!(source.cases(), BTreeMap::from([("abc".to_owned(), "cases".to_owned())]));
    // As a release has it, also in a folder: what stands beside the pack doesn't matter then.
    let again = Source::from_json(&source.to_json()).unwrap();
    assert_eq!(again.digest(), source.digest());
    let files: Vec<(&str, &[u8])> = source.files().map(|(path, text)| (path, text.as_bytes())).collect();
    assert_eq!(Source::from_folder(folder(&files).path()).unwrap().digest(), source.digest());
    // Another text of it is another content, and what the pack doesn't take is none.
    let with = |path: &str, text: &str| {
        let mut files: BTreeMap<String, String> =
            source.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        files.insert(path.to_owned(), text.to_owned());
        Source::from_files(files)
    };
    assert_ne!(with("common/abc/policy.rhai", "other").unwrap().digest(), source.digest());
    assert_eq!(with("common/own/policy.rhai", "other").unwrap().digest(), source.digest());
    assert_eq!(codes(with("common/abc/notes.md", "x"))[0].1, "path");
    assert_eq!(codes(with("common/../abc/policy.rhai", "x"))[0].1, "path");
}
