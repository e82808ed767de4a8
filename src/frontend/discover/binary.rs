//! Suites whose tests a binary lists: cctest, gtest folders, bigint (reference §4.9-§4.11).
//!
//! Starts nothing itself; the caller's lister does.

use super::{Check, DiscoverError, Listing, Part, Recipe, Shell, Suite, SuiteContext, Test};
use crate::frontend::dialect::Era;
use crate::job::Arg;

/// Attempts at a gtest listing.
const ATTEMPTS: usize = 3;

/// Lists cctest, in the era's format. A binary that fails leaves the suite empty, as in V8, but says so.
pub(super) fn list_cctest(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let text = match ask(context, &suite.name, "--list") {
        Ok(text) => text,
        Err(error) => {
            return Ok(Listing { left_out: vec![format!("{error}; left out")], ..Listing::default() });
        }
    };
    if context.dialect.era == Era::V2015 {
        return Ok(with_dependencies(&text));
    }
    let names = if text.contains("**>Test: ") {
        marked(&text).map_err(|what| DiscoverError::Listing { binary: suite.name.clone(), what })?
    } else {
        text.split_whitespace().map(str::to_owned).collect()
    };
    Ok(sorted(names))
}

fn ask(context: &SuiteContext<'_>, binary: &str, argument: &str) -> Result<String, DiscoverError> {
    (context.lister)(binary, &[argument])
        .map_err(|what| DiscoverError::Listing { binary: binary.to_owned(), what })
}

fn sorted(mut names: Vec<String>) -> Listing {
    names.sort();
    Listing::of_names(names)
}

/// 2015: `file/name<dependency`, the dependency in the same file; entries without `<` are no tests.
fn with_dependencies(text: &str) -> Listing {
    let mut tests: Vec<Test> = text
        .split_whitespace()
        .filter_map(|entry| entry.split_once('<'))
        .map(|(name, dependency)| Test {
            dependency: (!dependency.is_empty())
                .then(|| format!("{}/{dependency}", name.split('/').next().unwrap_or_default()).into()),
            ..Test::named(name.to_owned(), None)
        })
        .collect();
    tests.sort_by(|left, right| left.name.cmp(&right.name));
    Listing::of_tests(tests)
}

/// Since ~11: lines `**>Test: name` and a total that must agree.
fn marked(text: &str) -> Result<Vec<String>, String> {
    let tests =
        text.lines().filter_map(|line| line.strip_prefix("**>Test: ")).map(|name| name.trim().to_owned());
    let names: Vec<String> = tests.collect();
    let total = text.lines().find_map(|line| line.strip_prefix("Total number of tests: "));
    match total.and_then(|total| total.trim().parse::<usize>().ok()) {
        Some(total) if total == names.len() => Ok(names),
        Some(total) => Err(format!("it announced {total} tests and listed {}", names.len())),
        None => Err("the line `Total number of tests:` is missing".to_owned()),
    }
}

/// Describes a cctest test.
pub(super) fn recipe_cctest(test: &Test, context: &SuiteContext<'_>) -> Recipe {
    let mut recipe = Recipe::new(Shell::Named("cctest".to_owned()), Check::ExitCode);
    recipe.files = vec![Arg::Text(test.name.to_string())];
    recipe.layout = match context.dialect.era {
        Era::V2015 => &[Part::TestFlags, Part::Files, Part::Mode, Part::Serialized],
        _ => &[Part::TestFlags, Part::Files, Part::Mode],
    };
    recipe
}

/// The binary of a gtest suite: its folder's name until 10.2; since then `v8_unittests`, or what is built.
fn gtest_shell(suite: &Suite, context: &SuiteContext<'_>) -> String {
    match suite.name.as_str() {
        "wasm-api-tests" => "wasm_api_tests".to_owned(),
        "unittests" if !context.dialect.is_old() => {
            let built = |name: &str| context.build_dir.is_some_and(|dir| dir.join(name).is_file());
            let newest = context.dialect.era >= Era::V13;
            let v8 =
                if newest { !built("unittests") || built("v8_unittests") } else { built("v8_unittests") };
            if v8 && suite.names("v8_unittests", true) {
                "v8_unittests".to_owned()
            } else {
                "unittests".to_owned()
            }
        }
        name => name.to_owned(),
    }
}

/// Lists a gtest binary.
pub(super) fn list_gtest(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let shell = gtest_shell(suite, context);
    let attempts = if context.dialect.era == Era::V2015 { 1 } else { ATTEMPTS };
    let mut last = ask(context, &shell, "--gtest_list_tests");
    for _ in 1..attempts {
        if last.is_ok() {
            break;
        }
        last = ask(context, &shell, "--gtest_list_tests");
    }
    Ok(sorted(gtest_names(&last?)))
}

/// `Case.` lines, each followed by its tests.
fn gtest_names(text: &str) -> Vec<String> {
    let mut case = "";
    let mut names = Vec::new();
    for word in text.lines().filter_map(|line| line.split_whitespace().next()) {
        if word.ends_with('.') {
            case = word;
        } else if !case.is_empty() {
            names.push(format!("{case}{word}"));
        }
    }
    names
}

/// Describes a gtest test.
pub(super) fn recipe_gtest(suite: &Suite, context: &SuiteContext<'_>, test: &Test) -> Recipe {
    let shell = gtest_shell(suite, context);
    let mut recipe = Recipe::new(Shell::Named(shell), Check::ExitCode);
    recipe.suite_flags = vec![
        format!("--gtest_filter={}", test.name),
        format!("--gtest_random_seed={}", context.seed),
        "--gtest_print_time=0".to_owned(),
    ];
    recipe.layout = &[Part::TestFlags, Part::Suite, Part::Mode];
    if context.dialect.era >= Era::V157 && suite.name == "unittests" {
        let seed = base64(context.seed.to_string().as_bytes());
        recipe.env = vec![("FUZZTEST_PRNG_SEED".to_owned(), Arg::Text(seed))];
    }
    recipe
}

/// RFC 4648 base64 with padding, of a few bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let six = (group >> (18 - 6 * index)) & 63;
            text.push(if index <= chunk.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    text
}

/// Lists bigint's shell.
pub(super) fn list_bigint(context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let text = ask(context, "bigint_shell", "--list")?;
    Ok(sorted(text.split_whitespace().map(str::to_owned).collect()))
}

/// Describes a bigint test.
pub(super) fn recipe_bigint(test: &Test) -> Recipe {
    let mut recipe = Recipe::new(Shell::Named("bigint_shell".to_owned()), Check::ExitCode);
    recipe.files = vec![Arg::Text(test.name.to_string())];
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_listing_formats_of_cctest() {
        let old = with_dependencies("test-a/X<\ntest-a/Y<X\nnoise\n");
        assert_eq!(old.tests.len(), 2);
        assert_eq!(old.tests[1].dependency.as_deref(), Some("test-a/X"));
        let newest = "noise\n**>Test: b/B\n**>Test: a/A\nTotal number of tests: 2\n";
        assert_eq!(marked(newest).unwrap(), ["b/B", "a/A"]);
        assert!(marked("**>Test: b\nTotal number of tests: 2\n").unwrap_err().contains("announced 2"));
        assert!(marked("**>Test: b\n").unwrap_err().contains("missing"));
    }

    #[test]
    fn gtest_listings_join_case_and_test() {
        let text = "Case.\n  One\n  Two  # GetParam() = 3\n\nOther/Typed.\n  Three\n";
        assert_eq!(gtest_names(text), ["Case.One", "Case.Two", "Other/Typed.Three"]);
    }

    #[test]
    fn base64_of_seeds() {
        for (text, encoded) in
            [("", ""), ("1", "MQ=="), ("12", "MTI="), ("123", "MTIz"), ("1234", "MTIzNA==")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
