from .candidate_pool import (
    TOWERS as TOWERS,
    CandidatePools as CandidatePools,
    ChannelCandidates as ChannelCandidates,
    rescaled as rescaled,
)
from .config import FunnelConfig as FunnelConfig
from .fallback import FALLBACK as FALLBACK, Fallback as Fallback
from .fallback_choice import FallbackChoice as FallbackChoice, choose_fallback as choose_fallback
from .funnel import FUNNEL as FUNNEL, QUERY_FUNNEL as QUERY_FUNNEL, Funnel as Funnel
from .funnel_record import FunnelRecord as FunnelRecord, FunnelResult as FunnelResult
from .fusion import FittedFusion as FittedFusion
from .query_funnel import QueryFunnel as QueryFunnel
from .trained_run import TrainedRun as TrainedRun
