//! The connections that are open.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Token;

/// Items by number: at rest here, or out, at work somewhere.
pub(crate) struct Seats<T>(Mutex<Inner<T>>);

struct Inner<T> {
    seats: Vec<Seat<T>>,
    /// The seats that are free.
    free: Vec<usize>,
    closed: bool,
}

enum Seat<T> {
    Free,
    /// Somebody will sit here.
    Kept,
    Rests(T),
    /// It is at work, and whether it was called since.
    Out {
        called: bool,
    },
}

impl<T> Seats<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner { seats: Vec::new(), free: Vec::new(), closed: false }))
    }

    /// How many are not free.
    pub(crate) fn taken(&self) -> usize {
        let inner = self.inner();
        inner.seats.len() - inner.free.len()
    }

    /// Makes what `make` makes of a seat's number sit there. Not if `max` are taken, or when closed:
    /// then the number is none.
    pub(crate) fn seat<E>(
        &self,
        max: usize,
        make: impl FnOnce(Token) -> Result<T, E>,
    ) -> Option<Result<(), E>> {
        let number = {
            let mut inner = self.inner();
            if inner.closed || inner.seats.len() - inner.free.len() >= max {
                return None;
            }
            let number = inner.free.pop().unwrap_or(inner.seats.len());
            if number == inner.seats.len() {
                inner.seats.push(Seat::Free);
            }
            inner.seats[number] = Seat::Kept;
            number
        };
        let made = make(Token(number));
        let mut inner = self.inner();
        Some(match made {
            Ok(item) => {
                inner.seats[number] = Seat::Rests(item);
                Ok(())
            }
            Err(error) => {
                inner.leave(number);
                Err(error)
            }
        })
    }

    /// Takes those of `tokens` that rest out to work, and calls those that are out.
    pub(crate) fn call(&self, tokens: impl Iterator<Item = Token>, out: &mut Vec<(Token, T)>) {
        let mut inner = self.inner();
        for token in tokens {
            // One that is gone may still be called.
            let Some(seat) = inner.seats.get_mut(token.0) else { continue };
            match seat {
                Seat::Free | Seat::Kept => {}
                Seat::Out { called } => *called = true,
                Seat::Rests(_) => {
                    let worked = std::mem::replace(seat, Seat::Out { called: false });
                    if let Seat::Rests(item) = worked {
                        out.push((token, item));
                    }
                }
            }
        }
    }

    /// Lets one that was out rest. If it was called meanwhile it is given back, and is out again; if
    /// all is closed, it is dropped.
    pub(crate) fn rest(&self, token: Token, item: T) -> Option<T> {
        let mut inner = self.inner();
        if inner.closed {
            inner.leave(token.0);
            return None;
        }
        let seat = &mut inner.seats[token.0];
        if matches!(seat, Seat::Out { called: true }) {
            *seat = Seat::Out { called: false };
            return Some(item);
        }
        *seat = Seat::Rests(item);
        None
    }

    /// One that was out is gone.
    pub(crate) fn leave(&self, token: Token) {
        self.inner().leave(token.0);
    }

    /// Drops all that rest, and those that are out when they come back; from now on nobody is seated.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        for number in 0..inner.seats.len() {
            if matches!(inner.seats[number], Seat::Rests(_)) {
                inner.leave(number);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn leave(&mut self, number: usize) {
        self.seats[number] = Seat::Free;
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(count: u32) -> Seats<u32> {
        let seats = Seats::new();
        for item in 0..count {
            let seated = seats.seat(count as usize, |_| Ok::<_, ()>(item));
            assert_eq!(seated, Some(Ok(())));
        }
        seats
    }

    fn called(seats: &Seats<u32>, number: usize) -> Vec<(Token, u32)> {
        let mut out = Vec::new();
        seats.call([Token(number)].into_iter(), &mut out);
        out
    }

    #[test]
    fn a_call_for_one_that_is_out_is_not_lost() {
        let seats = seats(2);
        assert_eq!(called(&seats, 1), [(Token(1), 1)]);
        assert_eq!(called(&seats, 1), []);
        assert_eq!(seats.rest(Token(1), 1), Some(1), "it was called");
        assert_eq!(seats.rest(Token(1), 1), None);
        assert_eq!(called(&seats, 1), [(Token(1), 1)]);
    }

    #[test]
    fn there_is_no_more_room_than_there_may_be_and_a_free_seat_is_taken_again() {
        let seats = seats(2);
        assert_eq!(seats.seat(2, |_| Ok::<_, ()>(9)), None);
        called(&seats, 0);
        seats.leave(Token(0));
        assert_eq!(seats.taken(), 1);
        assert_eq!(seats.seat(2, |_| Err(())), Some(Err(())));
        assert_eq!(seats.taken(), 1, "who fails to come leaves the seat");
        assert_eq!(seats.seat(2, |token| Ok::<_, ()>(token.0 as u32)), Some(Ok(())));
        assert_eq!(called(&seats, 0), [(Token(0), 0)]);
    }

    #[test]
    fn once_it_is_closed_nobody_is_left_but_who_is_out() {
        let seats = seats(2);
        called(&seats, 0);
        called(&seats, 0);
        seats.close();
        assert_eq!(seats.taken(), 1);
        assert_eq!(seats.rest(Token(0), 0), None, "though it was called");
        assert_eq!((seats.taken(), seats.seat(2, |_| Ok::<_, ()>(9))), (0, None));
    }
}
