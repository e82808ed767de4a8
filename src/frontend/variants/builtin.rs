//! The variant tables of known versions, for trees whose own tables cannot be read (reference §3).
//!
//! Data only: `(name, flags separated by spaces)`.

/// A table of names with flags.
pub(super) type Table = &'static [(&'static str, &'static str)];

/// V8 4.3's variants.
pub(super) const FLAGS_2015: Table = &[
    ("default", ""),
    ("stress", "--stress-opt --always-opt"),
    ("turbofan", "--turbo-deoptimization --turbo-filter=* --always-opt"),
    ("nocrankshaft", "--nocrankshaft"),
];

/// V8 6.2's variants.
pub(super) const FLAGS_62: Table = &[
    ("default", ""),
    ("stress", "--stress-opt --always-opt"),
    ("nooptimization", "--noopt"),
    ("stress_asm_wasm", "--validate-asm --stress-validate-asm --suppress-asm-messages"),
    ("wasm_traps", "--wasm_guard_pages --wasm_trap_handler --invoke-weak-callbacks"),
];

/// V8 6.2's fast variants.
pub(super) const FAST_62: Table = &[
    ("default", ""),
    ("stress", "--stress-opt"),
    ("nooptimization", "--noopt"),
    ("stress_asm_wasm", "--validate-asm --stress-validate-asm --suppress-asm-messages"),
    ("wasm_traps", "--wasm_guard_pages --wasm_trap_handler --invoke-weak-callbacks"),
];

/// V8 10.2's variants.
pub(super) const FLAGS_102: Table = &[
    ("nooptimization", "--no-opt --liftoff --no-wasm-tier-up"),
    ("stress", "--stress-opt --no-liftoff --stress-lazy-source-positions --no-wasm-generic-wrapper"),
    ("stress_snapshot", "--stress-snapshot"),
    ("assert_types", "--assert-types"),
    ("code_serializer", "--cache=code"),
    ("future", "--future"),
    ("gc_stats", "--gc-stats=1"),
    ("infra_staging", ""),
    ("interpreted_regexp", "--regexp-interpret-all"),
    ("experimental_regexp", "--default-to-experimental-regexp-engine"),
    ("jitless", "--jitless"),
    ("sparkplug", "--sparkplug"),
    ("maglev", "--maglev --no-concurrent-recompilation"),
    ("concurrent_sparkplug", "--concurrent-sparkplug --sparkplug"),
    ("always_sparkplug", "--always-sparkplug --sparkplug"),
    ("minor_mc", "--minor-mc"),
    ("no_lfa", "--no-lazy-feedback-allocation"),
    ("slow_path", "--force-slow-path"),
    ("stress_concurrent_allocation", "--stress-concurrent-allocation"),
    ("stress_concurrent_inlining", "--stress-concurrent-inlining"),
    ("stress_js_bg_compile_wasm_code_gc", "--stress-background-compile --stress-wasm-code-gc"),
    ("stress_incremental_marking", "--stress-incremental-marking"),
    ("stress_sampling", "--stress-sampling-allocation-profiler=16384"),
    ("no_wasm_traps", "--no-wasm-trap-handler"),
    ("instruction_scheduling", "--turbo-instruction-scheduling"),
    ("stress_instruction_scheduling", "--turbo-stress-instruction-scheduling"),
    ("wasm_write_protect_code", "--wasm-write-protect-code-memory"),
    ("google3_icu", ""),
    ("google3_noicu", ""),
    ("default", ""),
];

/// Flags of a test that contradict a variant of V8 10.2.
pub(super) const PER_VARIANT_102: Table = &[
    (
        "jitless",
        "--opt --always-opt --liftoff --track-field-types --validate-asm --sparkplug --concurrent-sparkplug --maglev --always-sparkplug --regexp-tier-up --no-regexp-interpret-all",
    ),
    ("nooptimization", "--always-opt"),
    ("slow_path", "--no-force-slow-path"),
    ("stress_concurrent_allocation", "--single-threaded-gc --predictable"),
    (
        "stress_concurrent_inlining",
        "--single-threaded --predictable --lazy-feedback-allocation --assert-types --no-concurrent-recompilation",
    ),
    ("stress_snapshot", "--expose-fast-api"),
    (
        "stress",
        "--always-opt --no-always-opt --max-inlined-bytecode-size=* --max-inlined-bytecode-size-cumulative=* --stress-inline --liftoff-only --wasm-speculative-inlining --wasm-dynamic-tiering",
    ),
    ("sparkplug", "--jitless"),
    ("concurrent_sparkplug", "--jitless"),
    ("always_sparkplug", "--jitless"),
    ("maglev", "--jitless --concurrent-recompilation --stress-concurrent-inlining"),
    ("wasm_write_protect_code", "--perf-prof"),
    ("code_serializer", "--cache=after-execute --cache=full-code-cache --cache=none"),
    ("experimental_regexp", "--no-enable-experimental-regexp-engine"),
    ("assert_types", "--concurrent-recompilation --stress_concurrent_inlining --no-assert-types"),
];

/// Flags of a test that contradict a build of V8 10.2.
pub(super) const PER_BUILD_102: Table = &[
    (
        "lite_mode",
        "--no-lazy-feedback-allocation --max-semi-space-size=* --stress-concurrent-inlining --opt --always-opt --liftoff --track-field-types --validate-asm --sparkplug --concurrent-sparkplug --maglev --always-sparkplug --regexp-tier-up --no-regexp-interpret-all",
    ),
    (
        "predictable",
        "--parallel-compile-tasks-for-eager-toplevel --parallel-compile-tasks-for-lazy --concurrent-recompilation --stress-concurrent-allocation --stress-concurrent-inlining",
    ),
    ("dict_property_const_tracking", "--stress-concurrent-inlining"),
];

/// Flags of a test that contradict an extra flag of V8 10.2.
pub(super) const PER_EXTRA_102: Table = &[
    ("--concurrent-recompilation", "--predictable --assert-types"),
    ("--parallel-compile-tasks-for-eager-toplevel", "--predictable"),
    ("--parallel-compile-tasks-for-lazy", "--predictable"),
    ("--gc-interval=*", "--gc-interval=*"),
    ("--optimize-for-size", "--max-semi-space-size=*"),
    ("--stress_concurrent_allocation", "--single-threaded-gc --predictable"),
    (
        "--stress-concurrent-inlining",
        "--single-threaded --predictable --lazy-feedback-allocation --assert-types --no-concurrent-recompilation",
    ),
];

/// V8 15.2's variants.
pub(super) const FLAGS_152: Table = &[
    ("default", ""),
    ("infra_staging", ""),
    ("google3", ""),
    ("assert_types", "--assert-types --maglev-assert-types"),
    ("wasm_assert_types", "--wasm-assert-types --no-liftoff"),
    ("verify_turboshaft", "--verify-turboshaft"),
    ("code_serializer", "--cache=code"),
    (
        "dumpling_test",
        "--no-sparkplug --maglev-dumping --turbofan-dumping --predictable --dump-out-filename=/dev/null",
    ),
    (
        "dumpling_reference",
        "--no-maglev --no-turbofan --sparkplug-dumping --interpreter-dumping --predictable --dump-out-filename=/dev/null",
    ),
    ("future", "--future"),
    ("gc_stats", "--gc-stats=1"),
    ("interpreted_regexp", "--regexp-interpret-all"),
    ("stress_regexp_jit", "--regexp-tier-up-ticks=0"),
    ("experimental_regexp", "--default-to-experimental-regexp-engine"),
    ("regexp_assemble_from_bc", "--regexp-assemble-from-bytecode"),
    ("jitless", "--jitless --wasm-jitless-if-available-for-testing"),
    ("jit_fuzzing", "--fuzzing --jit-fuzzing --no-fail"),
    ("jit_fuzzing_maglev", "--fuzzing --jit-fuzzing --optimize-on-next-call-optimizes-to-maglev --no-fail"),
    ("sparkplug", "--sparkplug"),
    ("concurrent_sparkplug", "--concurrent-sparkplug --sparkplug"),
    ("always_sparkplug", "--always-sparkplug --sparkplug"),
    ("always_sparkplug_and_stress_regexp_jit", "--always-sparkplug --sparkplug --regexp-tier-up-ticks=0"),
    ("maglev", "--maglev"),
    ("maglev_future", "--maglev --maglev-future"),
    ("maglev_no_turbofan", "--maglev --no-turbofan --optimize-on-next-call-optimizes-to-maglev"),
    (
        "maglev_no_turbofan_regexp_from_bc",
        "--maglev --no-turbofan --optimize-on-next-call-optimizes-to-maglev --regexp-assemble-from-bytecode",
    ),
    ("stress_maglev", "--maglev --stress-maglev --optimize-on-next-call-optimizes-to-maglev"),
    (
        "stress_maglev_future",
        "--maglev --maglev-future --stress-maglev --optimize-on-next-call-optimizes-to-maglev",
    ),
    (
        "stress_maglev_no_turbofan",
        "--maglev --no-turbofan --stress-maglev --optimize-on-next-call-optimizes-to-maglev",
    ),
    (
        "stress_maglev_non_eager_inlining",
        "--maglev --stress-maglev --maglev-non-eager-inlining --max-maglev-inlined-bytecode-size-small=0 --optimize-on-next-call-optimizes-to-maglev",
    ),
    (
        "stress_maglev_tracing",
        "--maglev --stress-maglev --optimize-on-next-call-optimizes-to-maglev --trace-maglev-graph-building --trace-maglev-loop-speeling --trace-maglev-inlining --trace-maglev-phi-untagging --trace-maglev-regalloc --trace-maglev-escape-analysis --trace-maglev-object-tracking --print-maglev-code --print-maglev-deopt-verbose --print-maglev-graph --print-maglev-graphs",
    ),
    ("stress_maglev_tests_with_turbofan", "--turbofan --optimize-maglev-optimizes-to-turbofan"),
    ("turbolev", "--turbolev"),
    ("turbolev_future", "--turbolev-future"),
    ("stress_turbolev_future", "--turbolev-future --max-turbolev-eager-inlined-bytecode-size=0"),
    (
        "conservative_stack_scanning",
        "--conservative-stack-scanning --scavenger-conservative-object-pinning --stress-scavenger-conservative-object-pinning",
    ),
    ("precise_pinning", "--precise-object-pinning --scavenger-precise-object-pinning"),
    ("scavenger_chaos_mode", "--scavenger-chaos-mode"),
    ("minor_ms", "--minor-ms"),
    ("no_lfa", "--no-lazy-feedback-allocation"),
    ("no_memory_protection_keys", "--no-memory-protection-keys"),
    ("nooptimization", "--disable-optimizing-compilers --no-wasm-lazy-compilation"),
    ("rehash_snapshot", "--rehash-snapshot"),
    ("slow_path", "--force-slow-path"),
    (
        "stress",
        "--no-liftoff --stress-lazy-source-positions --no-wasm-generic-wrapper --no-wasm-lazy-compilation",
    ),
    ("stress_concurrent_allocation", "--stress-concurrent-allocation"),
    ("stress_concurrent_inlining", "--stress-concurrent-inlining"),
    ("stress_js_bg_compile_wasm_code_gc", "--stress-background-compile --stress-wasm-code-gc"),
    ("stress_wasm_stack_switching", "--stress-wasm-stack-switching"),
    ("stress_incremental_marking", "--stress-incremental-marking"),
    ("stress_snapshot", "--stress-snapshot"),
    ("stress_sampling", "--stress-sampling-allocation-profiler=16384"),
    ("no_wasm_traps", "--no-wasm-trap-handler"),
    ("instruction_scheduling", "--turbo-instruction-scheduling --no-liftoff"),
    ("stress_instruction_scheduling", "--turbo-stress-instruction-scheduling --no-liftoff"),
    ("turbofan_random_rescheduling", "--no-liftoff --wasm-random-rescheduling"),
];

/// Flags of a test that contradict a variant of V8 15.2.
pub(super) const PER_VARIANT_152: Table = &[
    (
        "jitless",
        "--turbofan --liftoff --validate-asm --maglev --turbolev --turbolev-future --stress-concurrent-inlining --turboshaft --track-field-types --sparkplug --concurrent-sparkplug --always-sparkplug --regexp-tier-up --no-regexp-interpret-all --interpreted-frames-native-stack --additive-safe-int-feedback --script-context-cells",
    ),
    (
        "dumpling_test",
        "--always-sparkplug --concurrent-recompilation --lazy-compile-dispatcher --parallel-compile-tasks-for-eager-toplevel --parallel-compile-tasks-for-lazy --stress-concurrent-allocation --stress-concurrent-inlining",
    ),
    (
        "dumpling_reference",
        "--turbofan --liftoff --validate-asm --maglev --turbolev --turbolev-future --stress-concurrent-inlining --turboshaft --concurrent-recompilation --lazy-compile-dispatcher --parallel-compile-tasks-for-eager-toplevel --parallel-compile-tasks-for-lazy --stress-concurrent-allocation --stress-concurrent-inlining",
    ),
    (
        "nooptimization",
        "--turbofan --turboshaft --wasm-in-js-inlining-body --wasm-in-js-inlining-wrapper --turbolev --turbolev-future --maglev --no-liftoff --wasm-tier-up --wasm-dynamic-tiering --validate-asm --track-field-types --stress-concurrent-inlining --additive-safe-int-feedback --script-context-cells",
    ),
    ("slow_path", "--no-force-slow-path"),
    ("stress_concurrent_allocation", "--single-threaded --single-threaded-gc --predictable"),
    (
        "stress_concurrent_inlining",
        "--single-threaded --predictable --lazy-feedback-allocation --assert-types --turboshaft-assert-types --no-concurrent-recompilation --no-turbofan --jitless",
    ),
    ("stress_snapshot", "--expose-fast-api"),
    ("stress", "--liftoff-only --wasm-dynamic-tiering --wasm-deopt"),
    ("instruction_scheduling", "--liftoff-only --wasm-dynamic-tiering --wasm-deopt"),
    ("stress_instruction_scheduling", "--liftoff-only --wasm-dynamic-tiering --wasm-deopt"),
    ("turbofan_random_rescheduling", "--liftoff-only --wasm-dynamic-tiering --wasm-deopt"),
    ("wasm_assert_types", "--liftoff-only --wasm-dynamic-tiering --wasm-deopt"),
    ("sparkplug", "--jitless --no-sparkplug"),
    ("always_sparkplug", "--jitless --no-sparkplug"),
    ("always_sparkplug_and_stress_regexp_jit", "--jitless --no-sparkplug"),
    ("concurrent_sparkplug", "--jitless"),
    ("stress_maglev", "--jitless"),
    ("stress_maglev_tracing", "--jitless"),
    ("stress_maglev_non_eager_inlining", "--jitless"),
    ("stress_maglev_tests_with_turbofan", "--jitless"),
    ("verify_turboshaft", "--jitless"),
    ("maglev", "--jitless --no-maglev"),
    ("maglev_future", "--jitless --no-maglev --no-maglev-future"),
    ("stress_maglev_future", "--jitless --no-maglev --no-maglev-future"),
    ("maglev_no_turbofan", "--jitless --no-maglev --turbofan --stress-concurrent-inlining"),
    ("stress_maglev_no_turbofan", "--jitless --no-maglev --turbofan --stress-concurrent-inlining"),
    (
        "maglev_no_turbofan_regexp_from_bc",
        "--jitless --no-maglev --turbofan --stress-concurrent-inlining --no-regexp-tier-up --regexp-interpret-all",
    ),
    ("turbolev_future", "--no-turbolev"),
    ("stress_turbolev_future", "--no-turbolev"),
    ("code_serializer", "--cache=after-execute --cache=full-code-cache --cache=none"),
    ("interpreted_regexp", "--regexp-tier-up"),
    ("stress_regexp_jit", "--regexp-interpret-all"),
    ("experimental_regexp", "--no-enable-experimental-regexp-engine"),
    ("regexp_assemble_from_bc", "--no-regexp-tier-up --regexp-interpret-all --jitless"),
    ("assert_types", "--concurrent-recompilation --stress_concurrent_inlining --no-assert-types"),
    ("stress_wasm_stack_switching", "--no-stress-wasm-stack-switching"),
];

/// Flags of a test that contradict a build of V8 15.2; `!name` means that the property is false.
pub(super) const PER_BUILD_152: Table = &[
    ("!code_comments", "--code-comments"),
    ("!verify_heap", "--verify-heap"),
    ("!debug_code", "--debug-code"),
    ("!slow_dchecks", "--enable-slow-asserts"),
    ("!gdbjit", "--gdbjit --gdbjit_full --gdbjit_dump"),
    ("!has_maglev", "--maglev"),
    (
        "!has_turbofan",
        "--turbofan --liftoff --validate-asm --maglev --turbolev --turbolev-future --stress-concurrent-inlining --turboshaft",
    ),
    (
        "has_jitless",
        "--turbofan --liftoff --validate-asm --maglev --turbolev --turbolev-future --stress-concurrent-inlining --turboshaft --track-field-types --sparkplug --concurrent-sparkplug --always-sparkplug --regexp-tier-up --no-regexp-interpret-all --interpreted-frames-native-stack --additive-safe-int-feedback --script-context-cells --no-jitless",
    ),
    (
        "lite_mode",
        "--turbofan --liftoff --validate-asm --maglev --turbolev --turbolev-future --stress-concurrent-inlining --turboshaft --track-field-types --sparkplug --concurrent-sparkplug --always-sparkplug --regexp-tier-up --no-regexp-interpret-all --interpreted-frames-native-stack --additive-safe-int-feedback --script-context-cells --no-jitless",
    ),
    ("single_generation", "--shared-strings --shared-heap --harmony-struct --wasm-shared"),
    (
        "!disassembler",
        "--print_all_code --print_code --print_opt_code --print_code_verbose --print_builtin_code --print_regexp_code",
    ),
    (
        "verify_predictable",
        "--parallel-compile-tasks-for-eager-toplevel --parallel-compile-tasks-for-lazy --concurrent-recompilation --stress-concurrent-allocation --stress-concurrent-inlining",
    ),
    ("dict_property_const_tracking", "--stress-concurrent-inlining"),
    (
        "!DEBUG_defined",
        "--check_handle_count --code_stats --dump_wasm_module --enable_testing_opcode_in_wasm --no-wasm-opt --print_ast --print_break_location --print_global_handles --print_handles --print_scopes --regexp_possessive_quantifier --trace_backing_store --trace_contexts --trace_isolates --trace_lazy --trace_liftoff --trace_module_status --trace_normalization --trace_turbo_escape --trace_wasm_compiler --trace_wasm_decoder --trace_wasm_instances --trace_wasm_lazy_compilation --trace_wasm_native_heap --trace_wasm_serialization --trace_wasm_stack_switching --trace_wasm_streaming",
    ),
];

/// Flags of a test that contradict an extra flag of V8 15.2.
pub(super) const PER_EXTRA_152: Table = &[
    (
        "--concurrent-recompilation",
        "--predictable --assert-types --turboshaft-assert-types --single-threaded",
    ),
    ("--parallel-compile-tasks-for-eager-toplevel", "--predictable"),
    ("--parallel-compile-tasks-for-lazy", "--predictable"),
    ("--gc-interval=*", "--gc-interval=*"),
    ("--stress_concurrent_allocation", "--single-threaded --single-threaded-gc --predictable"),
    (
        "--stress-concurrent-inlining",
        "--single-threaded --predictable --lazy-feedback-allocation --assert-types --turboshaft-assert-types --no-concurrent-recompilation --no-turbofan --jitless",
    ),
    ("--turboshaft-assert-types", "--concurrent-recompilation --stress-concurrent-inlining"),
    ("--wasm-generate-compilation-hints", "--single-threaded"),
    ("--trace-wasm-generate-compilation-hints", "--single-threaded"),
];
