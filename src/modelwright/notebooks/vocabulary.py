"""What is known of names in the libraries that notebooks use: which calls change nothing, draw, measure or split.

Everything here only sharpens the analysis. A name that is in no table is taken for the worst: it may change what it
is called on.
"""

# ruff: noqa: SIM905 - tables of words are read and edited as words

from modelwright.records import Goal

# Methods that leave the object they are called on as it was and give a new one.
PURE_METHODS = frozenset(
    """abs agg aggregate all any apply applymap argmax argmin argsort assign astype between clip copy corr count cov
    cummax cumsum decision_function describe diff dot drop drop_duplicates dropna dtypes duplicated eq explode
    factorize fillna filter flatten format ge get get_dummies get_feature_names_out get_params groupby gt head idxmax
    idxmin info interpolate isin isna isnull items iteritems iterrows itertuples join keys kurt le lower lstrip lt map
    mask max mean median melt memory_usage merge min mode mul ne nlargest notna notnull nsmallest nunique pct_change
    pivot pivot_table pow predict predict_log_proba predict_proba prod quantile query rank rename replace reset_index
    resample rolling round rstrip score score_samples select_dtypes set_index shift skew sort_index sort_values split
    splitlines stack startswith std strip sub sum swapaxes tail to_dict to_list to_numpy to_string tolist transform
    transpose truncate unique unstack upper value_counts values var where zfill endswith index find encode decode
    inverse_transform to_frame kneighbors mad sem nonzero most_common issubset union intersection difference
    get_group exists is_file is_dir as_posix isdigit isalpha title capitalize toarray todense pipe staged_predict
    cat str sample compare combine_first expanding ewm crosstab xs at_time
    read_text read_bytes write_text write_bytes mkdir joinpath with_suffix""".split()
)

# Methods whose result may share memory with what they are called on.
VIEW_METHODS = frozenset({"get", "items", "values", "keys", "ravel", "reshape", "view", "squeeze", "pipe", "get_group"})

# Functions of trusted libraries that write into an argument.
WRITING_FUNCTIONS = frozenset(
    """numpy.put numpy.copyto numpy.fill_diagonal numpy.place numpy.putmask random.shuffle numpy.random.shuffle
    heapq.heappush heapq.heappop heapq.heapify bisect.insort setattr delattr next""".split()
)

# Functions of trusted libraries whose result may share memory with an argument.
VIEW_FUNCTIONS = frozenset(
    "numpy.asarray numpy.ravel numpy.reshape numpy.squeeze numpy.transpose numpy.atleast_2d iter reversed zip".split()
)

# Libraries whose functions otherwise leave their arguments as they were.
TRUSTED_LIBRARIES = frozenset(
    """numpy pandas sklearn scipy math statistics json os pathlib joblib pickle time datetime itertools functools
    collections re random statsmodels xgboost lightgbm string glob csv operator sys warnings""".split()
)

PLOT_LIBRARIES = frozenset("matplotlib pylab seaborn plotly bokeh altair missingno yellowbrick scikitplot".split())
PLOT_METHODS = frozenset({"plot", "hist", "boxplot", "scatter"})

# Calls that only steer what is shown; their targets by dotted name, a trailing dot meaning everything below it.
DISPLAY_SETTINGS = (
    "warnings.filterwarnings",
    "warnings.simplefilter",
    "pandas.set_option",
    "pandas.reset_option",
    "pandas.options.",
    "numpy.set_printoptions",
    "matplotlib.",
    "seaborn.",
    "sklearn.set_config.display",
)

# Those of them by which numbers and tables are printed.
PRINT_SETTINGS = ("numpy.set_printoptions", "pandas.set_option", "pandas.options.display", "torch.set_printoptions")

FITTING_METHODS = frozenset({"fit", "fit_transform", "fit_predict", "fit_resample", "partial_fit", "fit_regularized"})
PREDICTING_METHODS = frozenset({"predict", "predict_proba", "decision_function", "score", "forecast", "get_forecast"})

# Methods, other than fits, that learn: steps of an optimiser, and what users call the training of their own classes.
TRAINING_METHODS = frozenset({"backward", "train_on_batch", "fit_generator", "build_vocab"})

# Functions that return something fitted.
TRAINING_FUNCTIONS = frozenset(
    """xgboost.train xgboost.cv lightgbm.train lightgbm.cv numpy.polyfit numpy.linalg.lstsq scipy.optimize.curve_fit
    scipy.optimize.minimize scipy.optimize.least_squares scipy.stats.linregress scipy.cluster.hierarchy.linkage
    scipy.cluster.vq.kmeans scipy.cluster.vq.kmeans2""".split()
)

# Functions that fit in order to tell how good a fit is.
VALIDATING_FUNCTIONS = frozenset(
    """sklearn.model_selection.cross_val_score sklearn.model_selection.cross_validate
    sklearn.model_selection.cross_val_predict sklearn.model_selection.learning_curve
    sklearn.model_selection.validation_curve sklearn.model_selection.permutation_test_score""".split()
)

# Functions that test a hypothesis about data: what they say is a result, be it of rows that no model has seen.
TESTING_FUNCTIONS = frozenset(
    [
        *(
            f"scipy.stats.{name}"
            for name in """ttest_1samp ttest_ind ttest_rel ttest_ind_from_stats chisquare chi2_contingency fisher_exact
            f_oneway kruskal mannwhitneyu wilcoxon friedmanchisquare ks_1samp ks_2samp kstest shapiro normaltest
            jarque_bera anderson levene bartlett binomtest permutation_test""".split()
        ),
        *(f"statsmodels.tsa.stattools.{name}" for name in "adfuller kpss coint grangercausalitytests".split()),
        *(f"statsmodels.stats.{name}" for name in "proportion.proportions_ztest weightstats.ztest".split()),
        *(f"statsmodels.stats.{name}" for name in "weightstats.ttest_ind diagnostic.acorr_ljungbox".split()),
    ]
)

# Classes that turn rows into rows and predict nothing.
TRANSFORMERS = frozenset(
    """StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer PowerTransformer QuantileTransformer
    OneHotEncoder OrdinalEncoder LabelEncoder LabelBinarizer TargetEncoder SimpleImputer KNNImputer IterativeImputer
    PolynomialFeatures FunctionTransformer KBinsDiscretizer VarianceThreshold SelectKBest SelectPercentile
    SelectFromModel RFE CountVectorizer TfidfVectorizer TfidfTransformer HashingVectorizer ColumnTransformer
    FeatureUnion PCA IncrementalPCA KernelPCA TruncatedSVD FastICA NMF FactorAnalysis TSNE MDS Isomap
    LocallyLinearEmbedding SpectralEmbedding Binarizer MultiLabelBinarizer DictVectorizer SplineTransformer
    make_column_transformer MissingIndicator GaussianRandomProjection SparseRandomProjection""".split()
)

# The methods of an object that turns rows into other rows rather than into answers.
TRANSFORMING_METHODS = frozenset({"transform", "fit_transform", "inverse_transform"})

SPLITTERS = frozenset({"sklearn.model_selection.train_test_split"})

# Functions that draw from numpy's shared state unless they are given `random_state`.
DRAWING_FUNCTIONS = frozenset(
    """sklearn.model_selection.train_test_split sklearn.utils.shuffle sklearn.utils.resample
    sklearn.datasets.make_blobs sklearn.datasets.make_classification sklearn.datasets.make_regression
    sklearn.datasets.make_moons sklearn.datasets.make_circles sklearn.datasets.make_friedman1
    sklearn.model_selection.cross_val_score sklearn.model_selection.cross_validate
    sklearn.model_selection.cross_val_predict sklearn.inspection.permutation_importance""".split()
)

# Estimators whose fit draws nothing, as scikit-learn 1.0 to 1.9 document it (default solvers).
STEADY_ESTIMATORS = frozenset(
    """LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV Lars LassoLars BayesianRidge
    ARDRegression HuberRegressor PoissonRegressor GammaRegressor TweedieRegressor LogisticRegression
    LogisticRegressionCV RidgeClassifier KNeighborsClassifier KNeighborsRegressor NearestCentroid GaussianNB
    MultinomialNB BernoulliNB ComplementNB LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis SVR SVC KernelRidge
    StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer PowerTransformer OneHotEncoder OrdinalEncoder
    LabelEncoder LabelBinarizer SimpleImputer PolynomialFeatures FunctionTransformer KBinsDiscretizer VarianceThreshold
    SelectKBest SelectPercentile CountVectorizer TfidfVectorizer TfidfTransformer PLSRegression IsotonicRegression
    AgglomerativeClustering DBSCAN ColumnTransformer Pipeline GridSearchCV FeatureUnion make_pipeline
    make_column_transformer TransformedTargetRegressor Binarizer MultiLabelBinarizer KNNImputer KFold
    StratifiedKFold GroupKFold TimeSeriesSplit LeaveOneOut LeaveOneGroupOut PredefinedSplit""".split()
)

# Constructors' keywords that say how a fit is carried out rather than what it gives.
TECHNICAL_KEYWORDS = frozenset({"n_jobs", "verbose", "copy", "copy_X", "cache_size", "sparse_output", "sparse"})

ESTIMATOR_LIBRARIES = frozenset({"sklearn", "xgboost", "lightgbm", "catboost"})

LOWER = Goal.MINIMIZE
HIGHER = Goal.MAXIMIZE

# Functions of sklearn.metrics that give one number: the metric's short name and its better direction.
METRIC_FUNCTIONS = {
    "mean_squared_error": ("mse", LOWER),
    "root_mean_squared_error": ("rmse", LOWER),
    "mean_absolute_error": ("mae", LOWER),
    "median_absolute_error": ("median_absolute_error", LOWER),
    "mean_squared_log_error": ("msle", LOWER),
    "root_mean_squared_log_error": ("rmsle", LOWER),
    "mean_absolute_percentage_error": ("mape", LOWER),
    "max_error": ("max_error", LOWER),
    "mean_poisson_deviance": ("poisson_deviance", LOWER),
    "mean_gamma_deviance": ("gamma_deviance", LOWER),
    "mean_pinball_loss": ("pinball_loss", LOWER),
    "r2_score": ("r2", HIGHER),
    "explained_variance_score": ("explained_variance", HIGHER),
    "d2_absolute_error_score": ("d2", HIGHER),
    "accuracy_score": ("accuracy", HIGHER),
    "balanced_accuracy_score": ("balanced_accuracy", HIGHER),
    "f1_score": ("f1", HIGHER),
    "fbeta_score": ("fbeta", HIGHER),
    "precision_score": ("precision", HIGHER),
    "recall_score": ("recall", HIGHER),
    "roc_auc_score": ("roc_auc", HIGHER),
    "average_precision_score": ("average_precision", HIGHER),
    "jaccard_score": ("jaccard", HIGHER),
    "matthews_corrcoef": ("matthews", HIGHER),
    "cohen_kappa_score": ("kappa", HIGHER),
    "log_loss": ("log_loss", LOWER),
    "brier_score_loss": ("brier", LOWER),
    "hinge_loss": ("hinge", LOWER),
    "hamming_loss": ("hamming", LOWER),
    "zero_one_loss": ("zero_one", LOWER),
    "silhouette_score": ("silhouette", HIGHER),
    "adjusted_rand_score": ("adjusted_rand", HIGHER),
    "calinski_harabasz_score": ("calinski_harabasz", HIGHER),
    "davies_bouldin_score": ("davies_bouldin", LOWER),
    "top_k_accuracy_score": ("top_k_accuracy", HIGHER),
}

# Parts of a metric's name that mean that less of it is better.
LOWER_IS_BETTER = ("error", "mse", "mae", "mape", "rmsle", "loss", "deviance", "brier", "davies")

READING_FUNCTIONS = frozenset(
    """pandas.read_csv pandas.read_table pandas.read_excel pandas.read_json pandas.read_parquet pandas.read_pickle
    pandas.read_feather pandas.read_fwf numpy.load numpy.loadtxt numpy.genfromtxt joblib.load open""".split()
)
WRITING_METHODS = frozenset("to_csv to_parquet to_json to_excel to_pickle to_feather to_html".split())
# Methods of a path that write it, and of an opened file, with the text or bytes as their argument.
PATH_WRITING_METHODS = frozenset({"write_text", "write_bytes"})
DUMPING_FUNCTIONS = frozenset({"pickle.dumps", "cloudpickle.dumps", "dill.dumps"})
SAVING_FUNCTIONS = {
    "joblib.dump": "joblib",
    "sklearn.externals.joblib.dump": "joblib",
    "pickle.dump": "pickle",
    "cloudpickle.dump": "pickle",
    "dill.dump": "pickle",
}
LOADING_FUNCTIONS = frozenset({"joblib.load", "pickle.load", "cloudpickle.load", "dill.load"})
FILE_WRITING_FUNCTIONS = frozenset({"numpy.save", "numpy.savetxt", "numpy.savez", "json.dump"})


def goal_of(metric: str, function: str = "") -> Goal:
    """Return which direction of `metric` is better, from the function that computes it or else from its name."""
    if function in METRIC_FUNCTIONS and metric.startswith(METRIC_FUNCTIONS[function][0]):
        return METRIC_FUNCTIONS[function][1]
    return LOWER if any(part in metric.lower() for part in LOWER_IS_BETTER) else HIGHER
