//! How a dossier stands at the portal, and what that means for the obligation it answers.

/// How a dossier stands at the portal (*trạng thái hồ sơ*, `TrangThaiHoSo`): ten numbers that all its interfaces share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// 1, *mới đăng ký*: it has arrived, and nobody has looked at it.
    Registered,
    /// 2, *được tiếp nhận*: it is complete and accepted; the clock of the procedure runs.
    Accepted,
    /// 3, *không được tiếp nhận*: it is not accepted.
    NotAccepted,
    /// 4, *đang xử lý*: somebody works on it.
    InProgress,
    /// 5, *yêu cầu bổ sung giấy tờ*: papers are missing.
    SupplementAsked,
    /// 6, *yêu cầu thực hiện nghĩa vụ tài chính*: a fee is to be paid.
    FeeAsked,
    /// 7, *công dân yêu cầu rút hồ sơ*: the person has taken it back.
    Withdrawn,
    /// 8, *dừng xử lý*: the agency has stopped.
    Stopped,
    /// 9, *đã xử lý xong*: it is decided.
    Done,
    /// 10, *đã trả kết quả*: the person has the result.
    ResultGiven,
}

/// What a status makes of the obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Becomes {
    /// It stays as it is: the dossier is under way.
    UnderWay,
    /// It stays as it is, and the person is to add papers.
    Supplement,
    /// It stays as it is, and the person is to pay.
    Fee,
    /// It is done.
    Fulfilled,
    /// It is to be done again: this dossier did not do it.
    OpenAgain,
}

impl Status {
    /// Every status, in the order of the numbers.
    pub const ALL: [Status; 10] = [
        Status::Registered,
        Status::Accepted,
        Status::NotAccepted,
        Status::InProgress,
        Status::SupplementAsked,
        Status::FeeAsked,
        Status::Withdrawn,
        Status::Stopped,
        Status::Done,
        Status::ResultGiven,
    ];

    /// The portal's number, 1 to 10.
    pub fn number(self) -> u8 {
        let at = Self::ALL.iter().position(|status| *status == self);
        at.and_then(|at| u8::try_from(at.saturating_add(1)).ok()).unwrap_or(0)
    }

    /// From the portal's number; none for any other.
    pub fn from_number(number: u64) -> Option<Status> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Status::Registered => "registered",
            Status::Accepted => "accepted",
            Status::NotAccepted => "not accepted",
            Status::InProgress => "in progress",
            Status::SupplementAsked => "supplement asked",
            Status::FeeAsked => "fee asked",
            Status::Withdrawn => "withdrawn",
            Status::Stopped => "stopped",
            Status::Done => "done",
            Status::ResultGiven => "result given",
        }
    }

    /// What it makes of the obligation.
    pub fn becomes(self) -> Becomes {
        match self {
            Status::Registered | Status::Accepted | Status::InProgress => Becomes::UnderWay,
            Status::SupplementAsked => Becomes::Supplement,
            Status::FeeAsked => Becomes::Fee,
            Status::Done | Status::ResultGiven => Becomes::Fulfilled,
            Status::NotAccepted | Status::Withdrawn | Status::Stopped => Becomes::OpenAgain,
        }
    }

    /// Whether the portal will say nothing else of it that would matter here.
    ///
    /// A decided dossier is fulfilled, whether or not the person has fetched the result yet.
    pub fn is_end(self) -> bool {
        matches!(self.becomes(), Becomes::Fulfilled | Becomes::OpenAgain)
    }
}
