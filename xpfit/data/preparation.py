"""How spectra were prepared: typed settings, and the flat record of them in files.

Stores, models, companions and catalogues record a preparation as one flat mapping (JSON), which
`Preparation.to_dict` writes and `Preparation.from_dict` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

from ..constraints import NOT_NEGATIVE, POSITIVE, CheckedSettings, each
from ..errors import InputError
from ..releases import DEFAULT, RELEASES

UNCORRECTED = "none"
"""Recorded as the correction of data whose flux was not corrected."""

S = TypeVar("S", bound="Settings")


@dataclass(frozen=True)
class Settings(CheckedSettings):
    """Base of the settings of a preparation.

    Attributes
    ----------
    flux_settings, error_settings : tuple of str
        Names of the settings that change the flux, and of those that change only its errors.
    """

    flux_settings: ClassVar[tuple[str, ...]] = ()
    error_settings: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_dict(cls: type[S], values: Mapping[str, Any]) -> S:
        """Settings from a file's metadata.

        Raises
        ------
        InputError
            If a setting is unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"unknown setting of the preparation ({error})") from error

    def differences(self, other: Settings, names: tuple[str, ...]) -> list[str]:
        """Named settings that differ from those of another object of the same kind, as texts."""
        return [
            f"{name} is {getattr(self, name)}, not {getattr(other, name)}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True)
class LibrarySettings(Settings):
    """How spectra of the APOGEE-XP library become data vectors.

    Parameters
    ----------
    xp_error_floor : float
        Fractional error added in quadrature to every XP sample: the library gives errors of 0.2 %
        for the brightest stars, below the accuracy of Gaia's calibration. (Errors of the emulator
        are part of the model: `xpfit.model.ModelCovariance`.)
    magnitude_err : float
        Error in mag of the 2MASS magnitudes, of which the library gives none: the typical
        uncertainty of bright stars (ZGR23, section 2.3).
    extinction_err : float
        Error in mag of the extinction estimate A(Ks) / 0.36.
    extinction_fractional_err : float
        Fraction of the estimate added to that in quadrature.
    extinction_limits : tuple of float
        Estimates outside are failures of the survey's photometric pipeline and count as unknown.
    """

    error_settings = ("xp_error_floor", "magnitude_err")

    xp_error_floor: float = 0.003
    magnitude_err: float = 0.03
    extinction_err: float = 0.05
    extinction_fractional_err: float = 0.1
    extinction_limits: tuple[float, float] = (-0.3, 6.0)

    constraints = each(POSITIVE, "xp_error_floor", "magnitude_err", "extinction_err")


@dataclass(frozen=True)
class XPSettings(Settings):
    """How XP spectra of the Gaia archive become data vectors, with the errors of ZGR23's eq. 2.

    Parameters
    ----------
    independent_error : float
        Fractional error of the flux that is independent at distant wavelengths.
    zero_point_error : float
        Fractional error common to the whole spectrum.
    band_error : float
        Fractional error common to each of BP and RP, independent between the two.
    divide_by_standard_deviation : bool
        Divide the archive's coefficient errors by ``*_standard_deviation``, as ZGR23 did by
        oversight (their footnote 2). The archive's errors include that factor already: dividing
        makes errors 5-36 % too small on bright stars. Only for reproducing the published catalogue.
    uncorrelated_error : float
        For XP sampled spectra, whose errors come without correlations: fraction of the flux that is
        added in quadrature to every error instead.
    truncate : bool
        Use only the first ``*_n_relevant_bases`` coefficients of each spectrum, those that Gaia's
        processing found significant.
    correlation_length : float
        nm over which `independent_error` is correlated: the correlation falls linearly with the
        distance in wavelength to zero at this length. With the default the covariance at
        wavelengths 10 nm or more apart is exactly the diagonal of ZGR23's eq. 2, and finer steps do
        not average the error down: that of the mean over 100 nm is the same within 5 % for steps of
        1 to 10 nm.
        Zero makes the error independent at every wavelength, whatever the step, as it was in files
        that do not record a length.
    """

    flux_settings = ("truncate",)
    error_settings = (
        "independent_error", "correlation_length", "zero_point_error", "band_error",
        "divide_by_standard_deviation", "uncorrelated_error",
    )  # fmt: skip

    independent_error: float = 0.005
    zero_point_error: float = 0.005
    band_error: float = 0.001
    divide_by_standard_deviation: bool = False
    uncorrelated_error: float = 0.003
    truncate: bool = False
    correlation_length: float = 10.0

    constraints = each(
        NOT_NEGATIVE, "independent_error", "correlation_length", "zero_point_error", "band_error",
        "uncorrelated_error",
    )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file's metadata; a length of zero is not recorded."""
        record = super().to_dict()
        if not self.correlation_length:
            del record["correlation_length"]
        return record

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> XPSettings:
        """Settings from a file's metadata; older ones record no length: zero."""
        return super().from_dict({"correlation_length": 0.0, **values})


@dataclass(frozen=True)
class PhotometrySettings(Settings):
    """Which photometry is used, and with which errors.

    Parameters
    ----------
    magnitude_err_floor : float
        mag, added in quadrature: 2MASS's calibration offsets are below 0.02 mag (ZGR23, section
        2.3).
    max_norm_dg_2mass, max_norm_dg_wise : float
        2MASS and WISE are dropped where `norm_dg` is higher: a bright neighbour is near (ZGR23,
        sections 2.3 and 2.4). Without `norm_dg` there is no neighbour.
    min_fracflux : float
        unWISE is dropped in a band where less than this share of the flux at the source's place is
        its own (`fracflux`): the rest is a neighbour's.
    """

    error_settings = (
        "magnitude_err_floor", "max_norm_dg_2mass", "max_norm_dg_wise", "min_fracflux",
    )  # fmt: skip

    magnitude_err_floor: float = 0.02
    max_norm_dg_2mass: float = -5.0
    max_norm_dg_wise: float = -10.0
    min_fracflux: float = 0.5


class Differences(NamedTuple):
    """Differences between two preparations, as texts.

    Attributes
    ----------
    flux : list of str
        Those that change the flux: one model cannot describe both.
    errors : list of str
        Those that change only errors, or what is attached to the flux.
    """

    flux: list[str]
    errors: list[str]


@dataclass(frozen=True)
class Preparation:
    """How spectra were prepared.

    Parameters
    ----------
    settings : LibrarySettings or XPSettings, optional
        Of the spectra; None if they are not recorded.
    correction : str, optional
        Name and version of the flux correction, or `UNCORRECTED`; None if not recorded.
    photometry : PhotometrySettings, optional
        None if no photometry was attached.
    parallax_zero_point : str, optional
        What was subtracted from the parallaxes; None if none were attached.
    release : str
        Gaia's data release, a name in `xpfit.releases.RELEASES`; files that record none are of
        `xpfit.releases.DEFAULT`.
    label_scales : mapping, optional
        How the labels of several surveys were tied together (`xpfit.prepare.label_scales`); None
        if they are of one.
    other : mapping
        Records unknown to this version of xpfit, kept as they are.

    Raises
    ------
    InputError
        If the release is not known.
    """

    settings: LibrarySettings | XPSettings | None = None
    correction: str | None = None
    photometry: PhotometrySettings | None = None
    parallax_zero_point: str | None = None
    release: str = DEFAULT
    label_scales: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.release not in RELEASES:
            raise InputError(
                f"spectra of Gaia {self.release}, a data release that this version of xpfit does "
                f"not know ({', '.join(RELEASES)}); upgrade xpfit"
            )

    @classmethod
    def of(cls, values: Preparation | Mapping[str, Any]) -> Preparation:
        """The preparation itself, or that of a flat record."""
        return values if isinstance(values, Preparation) else cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preparation:
        """Preparation from the flat record of a file.

        Raises
        ------
        InputError
            If a setting has a value that it cannot have.
        """
        left = dict(values)
        settings = None
        for kind in (LibrarySettings, XPSettings):
            own = {f.name: left.pop(f.name) for f in fields(kind) if f.name in left}
            settings = kind.from_dict(own) if own else settings
        photometry = left.pop("photometry", None)
        return cls(
            settings=settings,
            correction=left.pop("correction", None),
            photometry=None if photometry is None else PhotometrySettings.from_dict(photometry),
            parallax_zero_point=left.pop("parallax_zero_point", None),
            release=str(left.pop("release", DEFAULT)),
            label_scales=left.pop("label_scales", None),
            other=left,
        )

    def to_dict(self) -> dict[str, Any]:
        """Flat record of plain values, for a file's metadata."""
        record = {**self.other, **(self.settings.to_dict() if self.settings else {})}
        if self.correction is not None:
            record["correction"] = self.correction
        if self.photometry is not None:
            record["photometry"] = self.photometry.to_dict()
        if self.parallax_zero_point is not None:
            record["parallax_zero_point"] = self.parallax_zero_point
        if self.release != DEFAULT:
            record["release"] = self.release
        if self.label_scales is not None:
            record["label_scales"] = dict(self.label_scales)
        return record

    @property
    def flux_correction(self) -> str:
        """Name and version of the flux correction, or `UNCORRECTED`."""
        return self.correction or UNCORRECTED

    def settings_of(self, kind: type[S]) -> S:
        """The settings, if they are of a kind, or else that kind's defaults.

        Parameters
        ----------
        kind : type
            `LibrarySettings` or `XPSettings`.
        """
        return self.settings if isinstance(self.settings, kind) else kind()

    def differences(self, other: Preparation) -> Differences:
        """How this preparation differs from another.

        Parameters
        ----------
        other : Preparation
            Such as that of a model's training data.

        Returns
        -------
        Differences
            What is not recorded on either side is not compared, but for the correction.
        """
        flux, errors = [], []
        if self.flux_correction != other.flux_correction:
            flux.append(
                f"the flux correction is {self.flux_correction!r}, not {other.flux_correction!r}"
            )
        if self.settings and other.settings:
            # The library's spectra were sampled with the defaults of XPSettings.
            xp_settings = self.settings_of(XPSettings)
            flux += xp_settings.differences(
                other.settings_of(XPSettings), xp_settings.flux_settings
            )
        pairs = (self.settings, other.settings), (self.photometry, other.photometry)
        for mine, others in pairs:
            if mine and others and type(mine) is type(others):
                errors += mine.differences(others, mine.error_settings)
        zero_points = self.parallax_zero_point, other.parallax_zero_point
        if all(zero_points) and UNCORRECTED in zero_points and len(set(zero_points)) > 1:
            errors.append("the parallax zero point is {}, not {}".format(*zero_points))
        return Differences(flux, errors)
