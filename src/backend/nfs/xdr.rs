//! XDR (RFC 4506): numbers are big-endian, and everything is padded to four bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Puts values one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Writer(BytesMut);

impl Writer {
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.put_u32(value);
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.put_u64(value);
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u32(value.into())
    }

    /// Bytes whose number both sides know.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.put_slice(bytes);
        self.0.put_bytes(0, padding(bytes.len()));
        self
    }

    /// Bytes behind their number.
    pub fn opaque(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).fixed(bytes)
    }

    /// What another writer has put together.
    pub fn append(&mut self, other: &Writer) -> &mut Self {
        self.0.put_slice(&other.0);
        self
    }

    pub fn into_bytes(self) -> Bytes {
        self.0.freeze()
    }
}

/// Takes values from what somebody else wrote, who may lie about every length.
#[derive(Debug, Clone)]
pub struct Reader(Bytes);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("an answer that ends too early")]
    Short,
    #[error("a field of {0} bytes where {1} are the most")]
    Long(usize, usize),
    #[error("{0} where 0 or 1 is meant")]
    NotBool(u32),
}

type Result<T> = std::result::Result<T, Malformed>;

impl Reader {
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(|_| Malformed::Short)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64().map_err(|_| Malformed::Short)
    }

    pub fn bool(&mut self) -> Result<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::NotBool(other)),
        }
    }

    pub fn fixed(&mut self, count: usize) -> Result<Bytes> {
        let padded = count.checked_add(padding(count)).ok_or(Malformed::Short)?;
        if padded > self.0.len() {
            return Err(Malformed::Short);
        }
        let mut field = self.0.split_to(padded);
        field.truncate(count);
        Ok(field)
    }

    pub fn opaque(&mut self, most: usize) -> Result<Bytes> {
        let count = usize::try_from(self.u32()?).map_err(|_| Malformed::Short)?;
        if count > most {
            return Err(Malformed::Long(count, most));
        }
        self.fixed(count)
    }

    /// A name: shown to people, so what is no UTF-8 is replaced.
    pub fn text(&mut self, most: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.opaque(most)?).into_owned())
    }

    /// An XDR list: each item behind a word that says that there is one.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while self.bool()? {
            items.push(item(self)?);
        }
        Ok(items)
    }
}

fn padding(count: usize) -> usize {
    count.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reader(bytes: &[u8]) -> Reader {
        Reader::new(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn fields_are_padded_to_four_bytes() {
        let mut writer = Writer::default();
        writer.u32(7).opaque("abcde").bool(true);
        let bytes = writer.into_bytes();
        assert_eq!(&bytes[..], b"\0\0\0\x07\0\0\0\x05abcde\0\0\0\0\0\0\x01");
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.u32(), Ok(7));
        assert_eq!(reader.text(5), Ok("abcde".to_owned()));
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.u32(), Err(Malformed::Short));
    }

    #[test]
    fn a_length_is_believed_only_as_far_as_there_is_something() {
        assert_eq!(
            reader(b"\xff\xff\xff\xffabcd").opaque(64),
            Err(Malformed::Long(0xffff_ffff, 64))
        );
        assert_eq!(reader(b"\0\0\0\x05abcde").opaque(64), Err(Malformed::Short));
        assert_eq!(reader(b"\0\0\0\x02").bool(), Err(Malformed::NotBool(2)));
    }

    #[test]
    fn a_list_ends_where_its_bytes_end() {
        let mut endless = reader(&[0, 0, 0, 1].repeat(100));
        assert_eq!(endless.list(|_| Ok(())), Err(Malformed::Short));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number in any::<u32>(),
            wide in any::<u64>(),
            bytes in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let mut writer = Writer::default();
            writer.u32(number).opaque(&bytes).u64(wide).fixed(&bytes);
            let written = writer.into_bytes();
            prop_assert_eq!(written.len() % 4, 0);
            let mut reader = Reader::new(written);
            prop_assert_eq!(reader.u32(), Ok(number));
            prop_assert_eq!(reader.opaque(70), Ok(bytes.clone().into()));
            prop_assert_eq!(reader.u64(), Ok(wide));
            prop_assert_eq!(reader.fixed(bytes.len()), Ok(bytes.into()));
            prop_assert_eq!(reader.bool(), Err(Malformed::Short));
        }
    }
}
