//! Conditions under a build's variables, with Python's semantics (reference §2.2).
//!
//! Pure. Names are looked up as V8 does: self-named keywords over build variables. An unknown name is false with one
//! warning; the name `variant`, where unbound, makes the section depend on the variant.

use std::collections::BTreeMap;

use ruff_python_ast::{BoolOp, CmpOp, Expr, Number, UnaryOp};

use crate::frontend::dialect::{Dialect, Era};

/// A value in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A list or tuple.
    List(Vec<Value>),
}

impl Value {
    /// Python's truth of it.
    fn truth(&self) -> bool {
        match self {
            Value::Bool(value) => *value,
            Value::Text(text) => !text.is_empty(),
            Value::Int(int) => *int != 0,
            Value::List(items) => !items.is_empty(),
        }
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Value::Bool(value) => Some(i64::from(*value)),
            Value::Int(int) => Some(*int),
            Value::Text(_) | Value::List(_) => None,
        }
    }

    /// Python's `==`: True equals 1.
    fn equals(&self, other: &Value) -> bool {
        match (self.as_int(), other.as_int()) {
            (Some(left), Some(right)) => left == right,
            _ => self == other,
        }
    }
}

/// What conditions may ask, by name.
pub type Variables = BTreeMap<String, Value>;

/// Why a condition has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EvalError {
    /// `variant` was asked and is not bound.
    VariantUnbound,
    /// Something Python would refuse, or that has no place in a condition.
    Bad(String),
}

/// Names a condition is evaluated under.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) variables: &'a Variables,
    pub(super) variants: &'a [String],
    /// The bound variant.
    pub(super) variant: Option<&'a str>,
    pub(super) dialect: Dialect,
    /// Unknown names met so far.
    pub(super) unknown: Vec<String>,
}

/// Names whose value is their own name (reference §2.2), over all eras: a name of another era never equals anything
/// the build says.
const SELF_NAMED: &[&str] = &[
    "debug",
    "release",
    "big",
    "little",
    "android",
    "macos",
    "windows",
    "linux",
    "aix",
    "zos",
    "fuchsia",
    "ios",
    "freebsd",
    "openbsd",
    "netbsd",
    "solaris",
    "cygwin",
    "android_arm",
    "android_arm64",
    "android_ia32",
    "android_x64",
    "arm",
    "arm64",
    "ia32",
    "x87",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "nacl_ia32",
    "nacl_x64",
    "x64",
    "x32",
    "ppc",
    "ppc64",
    "s390",
    "s390x",
    "riscv32",
    "riscv64",
    "loong64",
    "r1",
    "r2",
    "r3",
    "r5",
    "r6",
    "bullhead",
    "panther",
];

impl Names<'_> {
    fn lookup(&mut self, name: &str) -> Result<Value, EvalError> {
        if name == "ALWAYS" {
            return Ok(Value::Bool(true));
        }
        if name == "variant" && self.dialect.era >= Era::V62 {
            return self.variant.map(text).ok_or(EvalError::VariantUnbound);
        }
        let variant_name =
            self.dialect.era >= Era::V62 && self.variants.iter().any(|variant| variant == name);
        if SELF_NAMED.contains(&name) || variant_name {
            return Ok(text(name));
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        self.unknown.push(name.to_owned());
        Ok(Value::Bool(false))
    }

    /// The value of a condition.
    pub(super) fn eval(&mut self, expression: &Expr) -> Result<Value, EvalError> {
        match expression {
            Expr::BooleanLiteral(value) => Ok(Value::Bool(value.value)),
            Expr::StringLiteral(value) => Ok(text(value.value.to_str())),
            Expr::NumberLiteral(number) => match &number.value {
                Number::Int(int) => int.as_i64().map(Value::Int).ok_or_else(|| bad("a number out of range")),
                Number::Float(_) | Number::Complex { .. } => Err(bad("only whole numbers have a place here")),
            },
            Expr::Name(name) => self.lookup(name.id.as_str()),
            Expr::List(list) => self.items(&list.elts),
            Expr::Tuple(tuple) => self.items(&tuple.elts),
            Expr::Set(set) => self.items(&set.elts),
            Expr::BoolOp(operation) => self.bool_op(operation.op, &operation.values),
            Expr::UnaryOp(operation) if operation.op == UnaryOp::Not => {
                Ok(Value::Bool(!self.eval(&operation.operand)?.truth()))
            }
            Expr::Compare(compare) => self.compare(&compare.left, &compare.ops, &compare.comparators),
            _ => Err(bad("this has no place in a condition")),
        }
    }

    fn items(&mut self, items: &[Expr]) -> Result<Value, EvalError> {
        items.iter().map(|item| self.eval(item)).collect::<Result<_, _>>().map(Value::List)
    }

    /// `and` and `or` return the operand that decides, and look no further.
    fn bool_op(&mut self, operator: BoolOp, operands: &[Expr]) -> Result<Value, EvalError> {
        let mut last = Value::Bool(operator == BoolOp::And);
        for operand in operands {
            last = self.eval(operand)?;
            if last.truth() == (operator == BoolOp::Or) {
                break;
            }
        }
        Ok(last)
    }

    fn compare(&mut self, left: &Expr, operators: &[CmpOp], operands: &[Expr]) -> Result<Value, EvalError> {
        let mut left = self.eval(left)?;
        for (operator, operand) in operators.iter().zip(operands) {
            let right = self.eval(operand)?;
            if !compared(*operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }
}

fn compared(operator: CmpOp, left: &Value, right: &Value) -> Result<bool, EvalError> {
    match operator {
        CmpOp::Eq | CmpOp::Is => Ok(left.equals(right)),
        CmpOp::NotEq | CmpOp::IsNot => Ok(!left.equals(right)),
        CmpOp::In => contained(left, right),
        CmpOp::NotIn => contained(left, right).map(|contained| !contained),
        CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => {
            let ordering = match (left, right) {
                (Value::Text(left), Value::Text(right)) => left.cmp(right),
                (left, right) => match (left.as_int(), right.as_int()) {
                    (Some(left), Some(right)) => left.cmp(&right),
                    _ => return Err(bad("these values have no order")),
                },
            };
            Ok(match operator {
                CmpOp::Lt => ordering.is_lt(),
                CmpOp::LtE => ordering.is_le(),
                CmpOp::Gt => ordering.is_gt(),
                _ => ordering.is_ge(),
            })
        }
    }
}

/// Python's `in`: a member of a list, or a part of a text (`arch in (ia32)` has no comma and is a text).
fn contained(left: &Value, right: &Value) -> Result<bool, EvalError> {
    match (left, right) {
        (left, Value::List(items)) => Ok(items.iter().any(|item| item.equals(left))),
        (Value::Text(left), Value::Text(right)) => Ok(right.contains(left.as_str())),
        _ => Err(bad("`in` needs a list on its right")),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn bad(what: &str) -> EvalError {
    EvalError::Bad(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::python::{Source, expression};
    use proptest::prelude::*;
    use std::path::Path;

    fn eval_with(condition: &str, variant: Option<&str>) -> (Result<Value, EvalError>, Vec<String>) {
        let variables: Variables = [
            ("arch", text("x64")),
            ("mode", text("release")),
            ("asan", Value::Bool(false)),
            ("tsan", Value::Bool(true)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let variants = ["default".to_owned(), "stress".to_owned()];
        let mut names = Names {
            variables: &variables,
            variants: &variants,
            variant,
            dialect: Dialect::new(Era::V102),
            unknown: Vec::new(),
        };
        let parsed = expression(Source { path: Path::new("x"), text: condition }).unwrap();
        (names.eval(&parsed), names.unknown)
    }

    fn holds(condition: &str) -> bool {
        eval_with(condition, None).0 == Ok(Value::Bool(true))
    }

    #[test]
    fn conditions_as_status_files_write_them() {
        for (condition, value) in [
            ("arch == x64 and mode == release", true),
            ("arch in [ia32, x64]", true),
            ("arch in (ia32, arm)", false),
            ("arch not in [arm, arm64]", true),
            ("arch in (x64)", true),
            ("not asan and tsan", true),
            ("asan == False", true),
            ("tsan == 1", true),
            ("(arch == x64) != (mode == debug)", true),
            ("'x' in arch", true),
            ("1 < 2 < 3", true),
            ("1 < 2 > 3", false),
        ] {
            assert_eq!(holds(condition), value, "{condition}");
        }
    }

    #[test]
    fn operators_return_operands_and_look_no_further() {
        assert_eq!(eval_with("mode", None).0, Ok(text("release")));
        assert_eq!(eval_with("asan or mode", None).0, Ok(text("release")));
        assert_eq!(eval_with("False and no_such", None), (Ok(Value::Bool(false)), vec![]));
        assert_eq!(eval_with("no_such or True", None).1, ["no_such"]);
    }

    #[test]
    fn variant_is_bound_or_asked_for() {
        assert_eq!(eval_with("True or variant == stress", None).0, Ok(Value::Bool(true)));
        assert_eq!(eval_with("variant == stress or True", None).0, Err(EvalError::VariantUnbound));
        assert_eq!(eval_with("variant == stress", Some("stress")).0, Ok(Value::Bool(true)));
    }

    #[test]
    fn what_python_refuses_is_an_error() {
        for condition in ["arch in 3", "arch < 3", "f(x)", "1.5", "arch + mode"] {
            assert!(matches!(eval_with(condition, None).0, Err(EvalError::Bad(_))), "{condition}");
        }
    }

    /// A boolean expression with the value it must have, by construction.
    fn tree() -> impl Strategy<Value = (String, bool)> {
        let leaf = prop_oneof![
            Just(("True".to_owned(), true)),
            Just(("asan".to_owned(), false)),
            Just(("tsan".to_owned(), true)),
            Just(("arch == x64".to_owned(), true)),
            Just(("arch in [arm]".to_owned(), false)),
        ];
        leaf.prop_recursive(4, 24, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|(text, value)| (format!("not ({text})"), !value)),
                (inner.clone(), inner.clone())
                    .prop_map(|((a, x), (b, y))| (format!("({a}) and ({b})"), x && y)),
                (inner.clone(), inner).prop_map(|((a, x), (b, y))| (format!("({a}) or ({b})"), x || y)),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_value_by_construction((condition, value) in tree()) {
            prop_assert_eq!(eval_with(&condition, None).0, Ok(Value::Bool(value)));
        }
    }
}
