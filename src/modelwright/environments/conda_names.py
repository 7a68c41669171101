"""What conda's packages are called on the index.

conda has no rule for it: most Python packages have their own name in both places, some have another, and many a name is
a library or a program on the one side and something unrelated on the other (`graphviz`, `pandoc`, `tk`). So nothing is
guessed: a name is here because both sides are built from the same source.
"""

from packaging.utils import canonicalize_name

# conda's name: the index's name, and the extras that make it the same.
_OTHERWISE = {
    "black-jupyter": "black[jupyter]",
    "brotli-python": "brotli",
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "plotly_express": "plotly-express",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-xxhash": "xxhash",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "ray-core": "ray",
    "ray-default": "ray[default]",
    "redis-py": "redis",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "uvicorn-standard": "uvicorn[standard]",
}
_ALIKE = frozenset(
    """
    absl-py aiohttp alembic altair anyio argon2-cffi asttokens attrs azure-identity azure-storage-blob beautifulsoup4
    black blake3 bokeh boto3 botocore bottleneck brotlipy cachetools catboost certifi cffi charset-normalizer click
    cloudpickle cmake colorama contourpy coverage cryptography cvxpy cycler cython dask datasets decorator dill
    distributed docutils duckdb executing fastapi fastparquet filelock flake8 flask fonttools fsspec gensim geopandas
    gitpython google-cloud-storage greenlet grpcio gunicorn h5py hdbscan holidays httpx huggingface-hub hypothesis idna
    imageio imbalanced-learn importlib-metadata importlib-resources iniconfig ipykernel ipython ipywidgets isort jedi
    jinja2 joblib jsonschema jupyter jupyter-client jupyter-core jupyterlab jupytext keras kiwisolver libcst lightgbm
    lightning llvmlite lxml mako markupsafe matplotlib matplotlib-inline mlflow mpmath multidict mypy nbclient nbconvert
    nbformat networkx nltk notebook numba numexpr numpy onnx onnxruntime openpyxl optuna orjson packaging pandas pandera
    papermill parso patsy pexpect pillow pip platformdirs plotly pluggy polars prompt-toolkit prophet protobuf psutil
    psycopg2 psycopg2-binary pyarrow pycparser pydantic pydantic-core pygments pyjwt pymysql pyodbc pyparsing pyspark
    pytest pytest-cov python-dateutil python-dotenv python-multipart pytorch-lightning pytz pywavelets pyyaml pyzmq
    regex requests rich ruff s3fs safetensors scikit-image scikit-learn scikit-optimize scipy seaborn sentencepiece
    setuptools shap shapely shellingham six skl2onnx snowflake-connector-python soupsieve spacy sqlalchemy sqlparse
    starlette statsmodels structlog sympy tabulate tenacity tensorboard tensorflow threadpoolctl tokenizers toml tomli
    toolz torchaudio torchvision tornado tqdm traitlets transformers typer typing-extensions tzdata umap-learn urllib3
    uvicorn uvloop wcwidth werkzeug wheel widgetsnbextension wrapt xarray xgboost xlrd xlsxwriter xlwt yarl zipp
    """.split()  # noqa: SIM905 - so many quoted names are no easier to read
)


def index_name(conda_name: str) -> str | None:
    """Return what the package is called on the index, with its extras; None when that is not known."""
    if conda_name in _OTHERWISE:
        return _OTHERWISE[conda_name]
    name = canonicalize_name(conda_name)
    return name if name in _ALIKE else None
