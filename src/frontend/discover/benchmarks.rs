//! benchmarks: kraken, octane and sunspider, as fixed lists below `data` (reference §4.11).

use std::path::PathBuf;

use super::{Check, Listing, Recipe, Suite, SuiteContext, Test};
use crate::frontend::dialect::Era;
use crate::job::Arg;

const KRAKEN: &str = "ai-astar audio-beat-detection audio-dft audio-fft audio-oscillator imaging-darkroom \
imaging-desaturate imaging-gaussian-blur json-parse-financial json-stringify-tinderbox stanford-crypto-aes \
stanford-crypto-ccm stanford-crypto-pbkdf2 stanford-crypto-sha256-iterative";

const OCTANE: &str = "box2d code-load crypto deltablue earley-boyer gbemu-part1 mandreel navier-stokes pdfjs raytrace \
regexp richards splay typescript zlib";

const SUNSPIDER: &str = "3d-cube 3d-morph 3d-raytrace access-binary-trees access-fannkuch access-nbody access-nsieve \
bitops-3bit-bits-in-byte bitops-bits-in-byte bitops-bitwise-and bitops-nsieve-bits controlflow-recursive crypto-aes \
crypto-md5 crypto-sha1 date-format-tofte date-format-xparb math-cordic math-partial-sums math-spectral-norm regexp-dna \
string-base64 string-fasta string-tagcloud string-unpack-code string-validate-input";

/// Lists the benchmarks.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Listing {
    let sets = [("kraken", KRAKEN), ("octane", OCTANE), ("sunspider", SUNSPIDER)];
    let names =
        sets.into_iter().flat_map(|(set, list)| list.split(' ').map(move |name| format!("{set}/{name}")));
    let test = |name: String| {
        let path = data(suite, context).join(format!("{name}.js"));
        let source = path.strip_prefix(context.workspace).unwrap_or(&path).to_string_lossy().into_owned();
        Test::named(name, Some(source))
    };
    Listing::of_tests(names.map(test).collect())
}

/// Where the files are: 2015 has them in the suite's own folder.
fn data(suite: &Suite, context: &SuiteContext<'_>) -> PathBuf {
    if context.dialect.era == Era::V2015 { suite.root.clone() } else { suite.root.join("data") }
}

/// Describes a benchmark: its data and parts around it.
pub(super) fn recipe(suite: &Suite, context: &SuiteContext<'_>, test: &Test) -> Recipe {
    let file = |name: &str| context.path(&data(suite, context).join(format!("{name}.js")));
    let mut recipe = Recipe::d8(Check::ExitCode);
    let name = &*test.name;
    let before = match name.split('/').next() {
        Some("kraken") => vec![format!("{name}-data")],
        Some("octane") => vec!["octane/base".to_owned()],
        _ => Vec::new(),
    };
    let after: &[&str] = match name {
        // ~12 lost the second part: it looks for a benchmark that is called otherwise.
        "octane/gbemu-part1"
            if suite.names("startswith(\"octane/gbemu", context.dialect.era <= Era::V102) =>
        {
            &["octane/gbemu-part2"]
        }
        "octane/typescript" => &["octane/typescript-compiler", "octane/typescript-input"],
        "octane/zlib" => &["octane/zlib-data"],
        _ => &[],
    };
    recipe.files = before
        .iter()
        .map(|name| file(name))
        .chain([file(name)])
        .chain(after.iter().map(|name| file(name)))
        .collect();
    if name.starts_with("octane/") {
        recipe.files.extend(["-e", "BenchmarkSuite.RunSuites({});"].map(|text| Arg::Text(text.to_owned())));
    }
    recipe
}
