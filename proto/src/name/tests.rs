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
