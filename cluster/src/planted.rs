//! What carries a planted bug, in this crate and in those of the patterns.

/// Declares `Planted`, which says which bug of the type named a configuration carries, if any.
///
/// Without the feature `mutants` of the crate that declares it no bug can be planted: it has no size,
/// its answer is always no, and the compiler removes what depends on it. Not part of the contract: for
/// the crates of this workspace.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($visibility:vis $mutant:ident) => {
        /// The planted bug, if any; by default none.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
        $visibility struct Planted {
            #[cfg(feature = "mutants")]
            mutant: Option<$mutant>,
        }

        impl Planted {
            #[cfg(feature = "mutants")]
            pub(crate) const fn of(mutant: $mutant) -> Self {
                Self { mutant: Some(mutant) }
            }

            /// Whether it is `mutant`.
            #[cfg(feature = "mutants")]
            pub(crate) fn is(self, mutant: $mutant) -> bool {
                self.mutant == Some(mutant)
            }

            /// Whether it is `mutant`: no.
            #[cfg(not(feature = "mutants"))]
            pub(crate) const fn is(self, _mutant: $mutant) -> bool {
                false
            }
        }
    };
}
