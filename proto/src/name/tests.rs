use super::*;

#[test]
fn names_are_oci_components() {
    let longest = "a".repeat(64);
    for good in [
        "a", "0", "a-b", "a--b", "a---b", "a_b", "a__b", "a1-b2_c", &longest,
    ] {
        assert!(good.parse::<Name>().is_ok(), "{good}");
    }
    let too_long = "a".repeat(65);
    for bad in [
        "", "-a", "a-", "_a", "a_", "a___b", "a-_b", "a_-b", "A", "a.b", "a/b", "é", "a b", "..",
        &too_long,
    ] {
        assert!(bad.parse::<Name>().is_err(), "{bad}");
    }
}

/// Whether OCI's distribution specification takes a text as a component of a name, read off its
/// grammar: runs of letters and digits, between which one of `.`, `_`, `__` or any number of `-` stands.
fn is_oci_component(text: &str) -> bool {
    let is_run = |part: &str| {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(fine)
    };
    let mut rest = text;
    loop {
        let end = rest.find(['.', '_', '-']).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if !is_run(run) {
            return false;
        }
        let next = after.trim_start_matches(['.', '_', '-']);
        let between = &after[..after.len() - next.len()];
        match between {
            "" => return after.is_empty(),
            "." | "_" | "__" => {}
            dashes if dashes.bytes().all(|byte| byte == b'-') => {}
            _ => return false,
        }
        rest = next;
    }
}

/// As a tag: a word character, then up to 127 of those, dots and dashes.
fn is_oci_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || matches!(byte, b'.' | b'-');
    text.len() <= 128 && text.bytes().next().is_some_and(word) && text.bytes().all(rest)
}

/// What OCI clients will ask for is frozen with the first package, long before anything serves them.
#[test]
fn every_name_is_an_oci_component_and_the_longest_path_fits() {
    let letters = ["a", "z", "0", "9", "-", "_", ".", "A", "/", "é"];
    let mut texts = vec![String::new()];
    let mut tried = 0;
    for _ in 0..5 {
        texts = texts
            .iter()
            .flat_map(|text| letters.map(|letter| format!("{text}{letter}")))
            .collect();
        for text in &texts {
            tried += 1;
            let accepted = text.parse::<Name>().is_ok();
            let component = is_oci_component(text) && !text.contains('.');
            assert_eq!(accepted, component, "{text}");
        }
    }
    assert_eq!(tried, 111_110);
    // Clients limit host, port and path to 255 bytes: what is before a repository and a name.
    let host = "xn--a-host-with-a-long-name.of.a.site.example:65535/skep/";
    assert!(host.len() + NAME_LEN_MAX + 1 + NAME_LEN_MAX <= 255);
}

#[test]
fn every_version_is_an_oci_tag() {
    let parts = [
        "0",
        "1",
        "10",
        "rc",
        "-",
        "a-b",
        "0a",
        "18446744073709551615",
    ];
    let mut seen = 0;
    for (a, b, c) in parts
        .iter()
        .flat_map(|a| parts.iter().map(move |b| (a, b)))
        .flat_map(|(a, b)| parts.iter().map(move |c| (a, b, c)))
    {
        for text in [
            format!("{a}.{b}.{c}"),
            format!("1.0.0-{a}.{b}.{c}"),
            format!("1.0.0+{a}.{b}.{c}"),
            format!("{a}.{b}.{c}-{a}{b}{c}"),
        ] {
            if let Ok(version) = text.parse::<Version>() {
                seen += 1;
                assert!(is_oci_tag(&version.to_string()), "{version}");
            }
        }
    }
    assert!(seen > 500, "{seen}");
    let longest = format!("1.0.0-{}", "a".repeat(58));
    assert!(is_oci_tag(
        &longest.parse::<Version>().expect("64 bytes").to_string()
    ));
}

#[test]
fn spellings_fold_together() {
    let fold = |text: &str| text.parse::<Name>().expect("a name").fold();
    assert_eq!(fold("rate-limiting"), fold("rate__limiting"));
    assert_ne!(fold("rate-limiting"), fold("rate-limit"));
}

#[test]
fn versions_are_strict() {
    for good in [
        "0.0.0",
        "1.2.3",
        "1.0.0-rc.1",
        "1.0.18446744073709551615",
        "1.0.0-0a.--.18446744073709551615",
    ] {
        assert_eq!(good.parse::<Version>().expect(good).to_string(), good);
    }
    let long = format!("1.0.0-{}", "a".repeat(59));
    for bad in [
        "1",
        "1.2",
        "v1.2.3",
        "01.2.3",
        "1.2.3+b",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        " 1.0.0",
        "1.0.18446744073709551616",
        "1.0.0-18446744073709551616",
        &long,
    ] {
        assert!(bad.parse::<Version>().is_err(), "{bad}");
    }
}

#[test]
fn precedence_is_semver() {
    let order = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-rc.2",
        "1.0.0-rc.10",
        "1.0.0",
        "1.0.1",
    ];
    let versions: Vec<Version> = order
        .iter()
        .map(|v| v.parse().expect("a version"))
        .collect();
    assert!(versions.is_sorted());
}

#[test]
fn a_bare_version_is_exact() {
    let reference: PackageRef = "l3af/ratelimiting@2.1.0".parse().expect("a reference");
    let requirement = reference.requirement.expect("a requirement");
    assert!(requirement.matches(&"2.1.0".parse().expect("a version")));
    assert!(!requirement.matches(&"2.1.1".parse().expect("a version")));
    let range: Requirement = "^2".parse().expect("a range");
    assert!(range.matches(&"2.9.0".parse().expect("a version")));
    assert!(!range.matches(&"2.9.0-rc.1".parse().expect("a version")));
}

#[test]
fn a_package_has_a_repository() {
    assert_eq!(
        "ratelimiting".parse::<PackageRef>(),
        Err(Error::NoRepository("ratelimiting".to_owned()))
    );
    assert!("a/b/c".parse::<PackageRef>().is_err());
    assert!("a/".parse::<PackageRef>().is_err());
    assert!("/b".parse::<PackageRef>().is_err());
}
