//! Reads typed values from the texts of a path.

use std::fmt;
use std::slice;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Why the parameters do not make the value.
#[derive(Debug)]
pub(super) enum ParamError {
    /// The path has another text than it should: said to the client.
    Text(String),
    /// The route has other parameters than its handler wants: the author's mistake.
    Route(String),
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(reason) | Self::Route(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Text(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Route(format!("its handler wants the parameter `{field}`"))
    }
}

/// All parameters: a struct or map by names, a tuple by order, or the one value there is.
#[derive(Clone, Copy)]
pub(super) struct ParamsDeserializer<'a>(&'a [(String, String)]);

impl<'a> ParamsDeserializer<'a> {
    pub(super) fn new(params: &'a [(String, String)]) -> Self {
        Self(params)
    }

    fn single(self) -> Result<Value<'a>, ParamError> {
        match self.0 {
            [(name, text)] => Ok(Value { name, text }),
            params => {
                Err(ParamError::Route(format!("its handler wants one parameter, it has {}", params.len())))
            }
        }
    }

    fn sequence(self, expected: usize) -> Result<Sequence<'a>, ParamError> {
        match self.0.len() {
            length if length == expected => Ok(Sequence(self.0.iter())),
            length => {
                Err(ParamError::Route(format!("its handler wants {expected} parameters, it has {length}")))
            }
        }
    }
}

macro_rules! from_single {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for ParamsDeserializer<'de> {
    type Error = ParamError;

    from_single! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier deserialize_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(Sequence(self.0.iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(self.sequence(length)?)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_seq(self.sequence(length)?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        let values = self.0.iter().map(|(name, text)| (name.as_str(), Value { name, text }));
        visitor.visit_map(MapDeserializer::new(values))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }
}

struct Sequence<'a>(slice::Iter<'a, (String, String)>);

impl<'de> SeqAccess<'de> for Sequence<'de> {
    type Error = ParamError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ParamError> {
        self.0.next().map(|(name, text)| seed.deserialize(Value { name, text })).transpose()
    }
}

/// One parameter.
#[derive(Clone, Copy)]
struct Value<'a> {
    name: &'a str,
    text: &'a str,
}

impl Value<'_> {
    fn parse<T: std::str::FromStr>(self, expected: &str) -> Result<T, ParamError> {
        self.text.parse().map_err(|_| ParamError::Text(format!("`{}` is not {expected}", self.name)))
    }

    /// The types' own complaints, with the parameter they are about.
    fn named<T>(self, result: Result<T, ParamError>) -> Result<T, ParamError> {
        result.map_err(|error| match error {
            ParamError::Text(reason) => ParamError::Text(format!("`{}`: {reason}", self.name)),
            ParamError::Route(reason) => ParamError::Route(reason),
        })
    }
}

macro_rules! parse_value {
    ($($method:ident $visit:ident $expected:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            self.named(visitor.$visit(self.parse($expected)?))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = ParamError;

    parse_value! {
        deserialize_bool visit_bool "`true` or `false`"
        deserialize_i8 visit_i8 "a whole number from -128 to 127"
        deserialize_i16 visit_i16 "a whole number of 16 bits"
        deserialize_i32 visit_i32 "a whole number of 32 bits"
        deserialize_i64 visit_i64 "a whole number of 64 bits"
        deserialize_i128 visit_i128 "a whole number of 128 bits"
        deserialize_u8 visit_u8 "a whole number from 0 to 255"
        deserialize_u16 visit_u16 "a whole number from 0 to 65535"
        deserialize_u32 visit_u32 "a whole number from 0 of 32 bits"
        deserialize_u64 visit_u64 "a whole number from 0 of 64 bits"
        deserialize_u128 visit_u128 "a whole number from 0 of 128 bits"
        deserialize_f32 visit_f32 "a number"
        deserialize_f64 visit_f64 "a number"
        deserialize_char visit_char "a single character"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        self.named(visitor.visit_borrowed_str(self.text))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.named(visitor.visit_enum(self))
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant without content, by its name.
impl<'de> EnumAccess<'de> for Value<'de> {
    type Error = ParamError;
    type Variant = <StrDeserializer<'de, ParamError> as EnumAccess<'de>>::Variant;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), ParamError> {
        let text: StrDeserializer<'de, ParamError> = self.text.into_deserializer();
        text.variant_seed(seed)
    }
}

impl<'de> IntoDeserializer<'de, ParamError> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
