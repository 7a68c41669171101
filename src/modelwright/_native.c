/* The hottest parts of the scoring path, compiled: docs/decisions/0045-a-compiled-part.md.
 *
 * Everything here is written in Python too, which is used where this was not compiled, and for every request that is
 * not as nearly all are: models in models/fusing, answers in serving/front/express.py, records in
 * serving/capture/segments.py. Both give the same bytes; tests/serving/test_native.py compares them.
 *
 * What comes from a client is read by read_rows() and nothing else. It never reads past the body, which CPython ends
 * with a zero that is not part of it, and writes no more numbers than the model has columns.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if PY_LITTLE_ENDIAN != 1
#error "records are little-endian, and here they are copied as they lie in memory"
#endif

/* --- arrays of a model, copied from Python's --- */

typedef struct {
    void *items;
    Py_ssize_t count;
} Array;

/* Copies what `object` holds, items of so many bytes each. Returns -1 with an exception set. */
static int array_copy(Array *array, PyObject *object, Py_ssize_t item_size)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    array->items = NULL;
    if (view.itemsize != item_size)
        PyErr_Format(PyExc_ValueError, "items of %zd bytes where there should be %zd", view.itemsize, item_size);
    else if ((array->items = PyMem_Malloc(view.len ? view.len : 1)) == NULL)
        PyErr_NoMemory();
    else
        memcpy(array->items, view.buf, view.len);
    array->count = view.len / item_size;
    PyBuffer_Release(&view);
    return array->items == NULL ? -1 : 0;
}

#define DOUBLES(array) ((double *)(array).items)
#define INTEGERS(array) ((int32_t *)(array).items)

/* --- models --- */

typedef enum { DOT, LINEAR, TREES } Kind;
typedef enum { UNDECIDED, NUMBER, LABEL } Verdict;

/* What is done to every column before the model; the order is that of STEPS in models/fusing/native.py. */
typedef enum { MINUS, OVER, TIMES, PLUS, LEAST, MOST, FILL } Operation;

typedef struct {
    Operation operation;
    Array values;
} Step;

typedef struct {
    double threshold;
    int32_t feature, left, right; /* of a leaf, the feature is -1 */
    int32_t has_missing_left;
} Node;

typedef struct {
    PyObject_HEAD
    Kind kind;
    Py_ssize_t columns, outputs;
    int is_single;        /* the model reads numbers in single precision */
    Step *steps;
    Py_ssize_t step_count;
    PyObject *labels;     /* a tuple of their texts, or NULL for a number */
    PyObject *row;        /* what the numbers of a request are written to, and its memory */
    Py_buffer row_view;
    double *totals;       /* room for a sum for each output, and another for its error */
    /* DOT */
    PyObject *dot, *weights;
    /* DOT and LINEAR */
    Array coefficients, intercepts;
    double share;         /* which part of the terms' sizes two orders of summation may differ by */
    /* TREES */
    Node *nodes;
    Array value, roots, adds_to, start;
    Py_ssize_t width;
    double divide_by;     /* 0 where sums are left as they are */
    int is_by_sign;
    double margin;
} Model;

/* Numbers beyond are left to the model: some of them it refuses, others it rounds in another way. */
static const double LARGEST = 1e15;

static void model_dealloc(Model *self)
{
    for (Py_ssize_t each = 0; each < self->step_count; each++)
        PyMem_Free(self->steps[each].values.items);
    PyMem_Free(self->steps);
    PyMem_Free(self->totals);
    PyMem_Free(self->nodes);
    Array *arrays[] = {&self->coefficients, &self->intercepts, &self->value,
                       &self->roots, &self->adds_to, &self->start};
    for (size_t each = 0; each < sizeof arrays / sizeof *arrays; each++)
        PyMem_Free(arrays[each]->items);
    if (self->row_view.obj != NULL)
        PyBuffer_Release(&self->row_view);
    Py_XDECREF(self->row);
    Py_XDECREF(self->labels);
    Py_XDECREF(self->dot);
    Py_XDECREF(self->weights);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int add_steps(Model *self, PyObject *steps)
{
    Py_ssize_t count = PyList_GET_SIZE(steps);
    self->steps = PyMem_Calloc(count ? count : 1, sizeof(Step));
    if (self->steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t each = 0; each < count; each++) {
        int operation;
        PyObject *values;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(steps, each), "iO", &operation, &values))
            return -1;
        if (operation < MINUS || operation > FILL) {
            PyErr_Format(PyExc_ValueError, "there is no step %d", operation);
            return -1;
        }
        if (array_copy(&self->steps[each].values, values, sizeof(double)) < 0)
            return -1;
        self->step_count = each + 1;
        self->steps[each].operation = operation;
        if (self->steps[each].values.count != self->columns) {
            PyErr_SetString(PyExc_ValueError, "a step before it is of other columns");
            return -1;
        }
    }
    return 0;
}

/* Model(row, steps, is_single, labels): what all models have. One of the three methods below makes it whole. */
static int model_init(Model *self, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *row, *steps, *labels;
    if (self->row != NULL) {
        PyErr_SetString(PyExc_TypeError, "a model is made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OO!pO", &row, &PyList_Type, &steps, &self->is_single, &labels))
        return -1;
    if (PyObject_GetBuffer(row, &self->row_view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
        return -1;
    self->row = Py_NewRef(row);
    self->columns = self->row_view.len / (Py_ssize_t)sizeof(double);
    if (self->row_view.itemsize != sizeof(double) || self->columns == 0) {
        PyErr_SetString(PyExc_ValueError, "a row is of doubles");
        return -1;
    }
    if (labels != Py_None) {
        if (!PyTuple_Check(labels)) {
            PyErr_SetString(PyExc_TypeError, "labels are a tuple of texts");
            return -1;
        }
        for (Py_ssize_t each = 0; each < PyTuple_GET_SIZE(labels); each++)
            if (PyUnicode_AsUTF8(PyTuple_GET_ITEM(labels, each)) == NULL)
                return -1;
        self->labels = Py_NewRef(labels);
    }
    return add_steps(self, steps);
}

static int has_room(Model *self, Kind kind, Py_ssize_t outputs)
{
    if (self->row == NULL || self->totals != NULL || outputs < 1) {
        PyErr_SetString(PyExc_ValueError, "it cannot be that model");
        return -1;
    }
    self->totals = PyMem_Calloc(2 * outputs, sizeof(double));
    if (self->totals == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->kind = kind;
    self->outputs = outputs;
    return 0;
}

/* be_dot(dot, weights, intercept): the number dot(row, weights) + intercept, summed as the library does. */
static PyObject *model_be_dot(Model *self, PyObject *args)
{
    PyObject *dot, *weights;
    double intercept;
    if (!PyArg_ParseTuple(args, "OOd", &dot, &weights, &intercept) || has_room(self, DOT, 1) < 0)
        return NULL;
    self->dot = Py_NewRef(dot);
    self->weights = Py_NewRef(weights);
    self->totals[0] = intercept;
    Py_RETURN_NONE;
}

/* be_linear(coefficients, intercepts, share): the label of the largest sum, where no order of its terms matters. */
static PyObject *model_be_linear(Model *self, PyObject *args)
{
    PyObject *coefficients, *intercepts;
    if (!PyArg_ParseTuple(args, "OOd", &coefficients, &intercepts, &self->share) ||
        array_copy(&self->coefficients, coefficients, sizeof(double)) < 0 ||
        array_copy(&self->intercepts, intercepts, sizeof(double)) < 0 ||
        has_room(self, LINEAR, self->intercepts.count) < 0)
        return NULL;
    Py_ssize_t labels = self->labels ? PyTuple_GET_SIZE(self->labels) : 0;
    if (self->coefficients.count != self->outputs * self->columns ||
        labels != (self->outputs == 1 ? 2 : self->outputs)) {
        PyErr_SetString(PyExc_ValueError, "its coefficients, intercepts and labels do not fit");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Whether every step down leads to a later node, and every leaf has its values: a walk ends, and within the tables. */
static int are_trees(const Model *self, Py_ssize_t count)
{
    for (Py_ssize_t each = 0; each < count; each++) {
        const Node *node = &self->nodes[each];
        if (node->feature >= self->columns ||
            (node->feature >= 0 && (node->left <= each || node->left >= count ||
                                    node->right <= each || node->right >= count)))
            return 0;
    }
    for (Py_ssize_t each = 0; each < self->roots.count; each++) {
        int32_t root = INTEGERS(self->roots)[each], output = INTEGERS(self->adds_to)[each];
        if (root < 0 || root >= count || output >= self->outputs)
            return 0;
    }
    return self->value.count == count * self->width && (self->width == 1 || self->width == self->outputs);
}

/* be_trees(feature, threshold, left, right, missing_left, value, roots, adds_to, start, width, divide_by, is_by_sign,
 * margin): the sum of a leaf of each tree for each output, or the label of the largest. */
static PyObject *model_be_trees(Model *self, PyObject *args)
{
    PyObject *objects[9];
    Array feature = {0}, threshold = {0}, left = {0}, right = {0}, missing_left = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOndpd", &objects[0], &objects[1], &objects[2], &objects[3], &objects[4],
                          &objects[5], &objects[6], &objects[7], &objects[8], &self->width, &self->divide_by,
                          &self->is_by_sign, &self->margin))
        return NULL;
    if (array_copy(&feature, objects[0], 4) < 0 || array_copy(&threshold, objects[1], 8) < 0 ||
        array_copy(&left, objects[2], 4) < 0 || array_copy(&right, objects[3], 4) < 0 ||
        array_copy(&missing_left, objects[4], 1) < 0 || array_copy(&self->value, objects[5], 8) < 0 ||
        array_copy(&self->roots, objects[6], 4) < 0 || array_copy(&self->adds_to, objects[7], 4) < 0 ||
        array_copy(&self->start, objects[8], 8) < 0 || has_room(self, TREES, self->start.count) < 0)
        goto done;
    Py_ssize_t count = feature.count, labels = self->labels ? PyTuple_GET_SIZE(self->labels) : 0;
    self->nodes = PyMem_Calloc(count ? count : 1, sizeof(Node));
    if (self->nodes == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    int is_sound = threshold.count == count && left.count == count && right.count == count &&
                   missing_left.count == count && self->adds_to.count == self->roots.count &&
                   (labels == 0 ? self->labels == NULL : labels == (self->is_by_sign ? 2 : self->outputs));
    for (Py_ssize_t each = 0; is_sound && each < count; each++)
        self->nodes[each] = (Node){DOUBLES(threshold)[each], INTEGERS(feature)[each], INTEGERS(left)[each],
                                   INTEGERS(right)[each], ((int8_t *)missing_left.items)[each] != 0};
    if (is_sound && are_trees(self, count))
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "its tables are no trees");
done:
    PyMem_Free(feature.items);
    PyMem_Free(threshold.items);
    PyMem_Free(left.items);
    PyMem_Free(right.items);
    PyMem_Free(missing_left.items);
    return result;
}

/* Does to the row what comes before the model. Returns 0 when its numbers are too large to be decided here. */
static int prepared(const Model *self, double *row)
{
    Py_ssize_t columns = self->columns;
    for (Py_ssize_t each = 0; each < self->step_count; each++) {
        const double *values = DOUBLES(self->steps[each].values);
        switch (self->steps[each].operation) {
        case MINUS: for (Py_ssize_t at = 0; at < columns; at++) row[at] -= values[at]; break;
        case OVER:  for (Py_ssize_t at = 0; at < columns; at++) row[at] /= values[at]; break;
        case TIMES: for (Py_ssize_t at = 0; at < columns; at++) row[at] *= values[at]; break;
        case PLUS:  for (Py_ssize_t at = 0; at < columns; at++) row[at] += values[at]; break;
        case LEAST: for (Py_ssize_t at = 0; at < columns; at++) if (row[at] < values[at]) row[at] = values[at]; break;
        case MOST:  for (Py_ssize_t at = 0; at < columns; at++) if (row[at] > values[at]) row[at] = values[at]; break;
        case FILL:  for (Py_ssize_t at = 0; at < columns; at++) if (row[at] != row[at]) row[at] = values[at]; break;
        }
    }
    if (self->is_single)
        for (Py_ssize_t at = 0; at < columns; at++)
            row[at] = (double)(float)row[at];
    if (self->is_single || self->step_count)
        for (Py_ssize_t at = 0; at < columns; at++)
            if (row[at] >= LARGEST || row[at] <= -LARGEST)
                return 0;
    return 1;
}

static Verdict decide_linear(Model *self, const double *row, Py_ssize_t *label)
{
    double *scores = self->totals, *errors = scores + self->outputs;
    for (Py_ssize_t output = 0; output < self->outputs; output++) {
        const double *weights = DOUBLES(self->coefficients) + output * self->columns;
        double intercept = DOUBLES(self->intercepts)[output], sum = 0.0, size = 0.0;
        for (Py_ssize_t at = 0; at < self->columns; at++) {
            double product = row[at] * weights[at];
            sum += product;
            size += fabs(product);
        }
        scores[output] = sum + intercept;
        errors[output] = self->share * (size + fabs(intercept));
    }
    if (self->outputs == 1) {
        *label = scores[0] > errors[0];
        return scores[0] > errors[0] || -scores[0] > errors[0] ? LABEL : UNDECIDED;
    }
    Py_ssize_t chosen = 0;
    for (Py_ssize_t output = 1; output < self->outputs; output++)
        if (scores[output] > scores[chosen])
            chosen = output;
    for (Py_ssize_t output = 0; output < self->outputs; output++)
        if (output != chosen && !(scores[chosen] - errors[chosen] > scores[output] + errors[output]))
            return UNDECIDED;
    *label = chosen;
    return LABEL;
}

static Verdict decide_trees(Model *self, const double *row, double *number, Py_ssize_t *label)
{
    double *totals = self->totals;
    const Node *nodes = self->nodes;
    const double *value = DOUBLES(self->value);
    memcpy(totals, self->start.items, self->outputs * sizeof(double));
    for (Py_ssize_t tree = 0; tree < self->roots.count; tree++) {
        Py_ssize_t at = INTEGERS(self->roots)[tree];
        for (const Node *node = &nodes[at]; node->feature >= 0; node = &nodes[at]) {
            double given = row[node->feature];
            /* No comparison with NaN is true, so what is asked tells where a missing value goes. */
            if (node->has_missing_left)
                at = given > node->threshold ? node->right : node->left;
            else
                at = given <= node->threshold ? node->left : node->right;
        }
        if (self->width == 1) {
            int32_t output = INTEGERS(self->adds_to)[tree];
            totals[output < 0 ? 0 : output] += value[at];
        } else {
            for (Py_ssize_t output = 0; output < self->width; output++)
                totals[output] += value[at * self->width + output];
        }
    }
    if (self->divide_by != 0.0)
        for (Py_ssize_t output = 0; output < self->outputs; output++)
            totals[output] /= self->divide_by;
    if (self->labels == NULL) {
        *number = totals[0];
        return isfinite(totals[0]) ? NUMBER : UNDECIDED;
    }
    if (self->is_by_sign) {
        *label = totals[0] > self->margin;
        return totals[0] > self->margin || totals[0] < -self->margin ? LABEL : UNDECIDED;
    }
    Py_ssize_t chosen = 0;
    for (Py_ssize_t output = 1; output < self->outputs; output++)
        if (totals[output] > totals[chosen])
            chosen = output;
    for (Py_ssize_t output = 0; self->margin != 0.0 && output < self->outputs; output++)
        if (output != chosen && totals[chosen] - totals[output] <= self->margin)
            return UNDECIDED;
    *label = chosen;
    return LABEL;
}

/* Decides about the numbers in the model's row. Returns -1 with an exception set. */
static int decide(Model *self, Verdict *verdict, double *number, Py_ssize_t *label)
{
    double *row = self->row_view.buf;
    *verdict = UNDECIDED;
    if (!prepared(self, row))
        return 0;
    if (self->kind == LINEAR) {
        *verdict = decide_linear(self, row, label);
    } else if (self->kind == TREES) {
        *verdict = decide_trees(self, row, number, label);
    } else {
        PyObject *arguments[] = {self->row, self->weights};
        PyObject *sum = PyObject_Vectorcall(self->dot, arguments, 2, NULL);
        if (sum == NULL)
            return -1;
        *number = PyFloat_AsDouble(sum) + self->totals[0];
        Py_DECREF(sum);
        if (PyErr_Occurred())
            return -1;
        *verdict = isfinite(*number) ? NUMBER : UNDECIDED;
    }
    return 0;
}

static int is_whole(const Model *self)
{
    if (self->totals == NULL || (self->kind == TREES && self->nodes == NULL)) {
        PyErr_SetString(PyExc_ValueError, "the model is not whole");
        return 0;
    }
    return 1;
}

/* value(row): a number, a label's text, or None when the model itself is to be asked. Raises TypeError or ValueError
 * for what is no row of numbers, one for each column. */
static PyObject *model_value(Model *self, PyObject *given)
{
    Verdict verdict;
    double number, *row = self->row_view.buf;
    Py_ssize_t label;
    if (!is_whole(self))
        return NULL;
    if (!PyList_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a row is a list");
        return NULL;
    }
    if (PyList_GET_SIZE(given) != self->columns) {
        PyErr_SetString(PyExc_ValueError, "a row has a number for each column");
        return NULL;
    }
    for (Py_ssize_t at = 0; at < self->columns; at++) {
        PyObject *item = PyList_GET_ITEM(given, at);
        row[at] = PyFloat_CheckExact(item) ? PyFloat_AS_DOUBLE(item) : PyFloat_AsDouble(item);
        if (row[at] == -1.0 && PyErr_Occurred())
            return NULL;
    }
    if (decide(self, &verdict, &number, &label) < 0)
        return NULL;
    if (verdict == NUMBER)
        return PyFloat_FromDouble(number);
    return Py_NewRef(verdict == LABEL ? PyTuple_GET_ITEM(self->labels, label) : Py_None);
}

static PyMethodDef model_methods[] = {
    {"be_dot", (PyCFunction)model_be_dot, METH_VARARGS, NULL},
    {"be_linear", (PyCFunction)model_be_linear, METH_VARARGS, NULL},
    {"be_trees", (PyCFunction)model_be_trees, METH_VARARGS, NULL},
    {"value", (PyCFunction)model_value, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject ModelType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "modelwright._native.Model",
    .tp_doc = "A model that is arrays: a function of one row.",
    .tp_basicsize = sizeof(Model),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)model_init,
    .tp_dealloc = (destructor)model_dealloc,
    .tp_methods = model_methods,
};

/* --- a request's body --- */

static const char *past_space(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
        at++;
    return at;
}

static int is_digit(char given)
{
    return given >= '0' && given <= '9';
}

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Returns digits / 10^places, rounded to the nearest double as the decimal number would be; 0 if that is not certain.
 *
 * Both operands are exact. A quotient of doubles is rounded once (Clinger, "How to Read Floating Point Numbers
 * Accurately", 1990). One of 64 bits, where there is such a type, is right to half a unit of these, so that rounding it
 * to 53 is right as well unless what is cut off lies within one unit of the middle. */
static int quotient(uint64_t digits, int places, double *number)
{
    if (places > 22)
        return 0;
    if (digits <= (UINT64_C(1) << 53)) {
        *number = (double)digits / TENS[places];
        return 1;
    }
#if LDBL_MANT_DIG == 64 && defined(__x86_64__)
    union {
        long double value;
        uint64_t mantissa;
    } exact = {(long double)digits / (long double)TENS[places]};
    uint64_t cut = exact.mantissa & 0x7ff;
    *number = (double)exact.value;
    return cut < 0x3ff || cut > 0x401;
#else
    return 0;
#endif
}

/* Reads a number of JSON. Returns what follows it; NULL when that is no number, or one that is left to others. */
static const char *read_number(const char *at, double *number, int *is_whole_number)
{
    const char *start = at;
    uint64_t digits = 0;
    int places = 0, count = 0;
    if (*at == '-')
        at++;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return NULL;
    for (; is_digit(*at); at++, count += count > 0 || digits != 0)
        digits = digits * 10 + (uint64_t)(*at - '0');
    *is_whole_number = *at != '.' && *at != 'e' && *at != 'E';
    if (*is_whole_number) {
        /* Longer ones, and minus zero, mean something else to those who tell integers from numbers. */
        if (count > 15 || (*start == '-' && digits == 0))
            return NULL;
    } else if (*at == '.') {
        if (!is_digit(*++at))
            return NULL;
        for (; is_digit(*at); at++, places++, count += count > 0 || digits != 0)
            digits = digits * 10 + (uint64_t)(*at - '0');
    }
    int has_exponent = *at == 'e' || *at == 'E';
    if (has_exponent) {
        at++;
        if (*at == '-' || *at == '+')
            at++;
        if (!is_digit(*at))
            return NULL;
        while (is_digit(*at))
            at++;
    }
    /* Up to nineteen digits the sum above did not overflow. */
    if (!has_exponent && count <= 19 && quotient(digits, places, number)) {
        if (*start == '-')
            *number = -*number;
        return at;
    }
    char *end;
    *number = PyOS_string_to_double(start, &end, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return NULL;
    }
    return end == at && isfinite(*number) ? at : NULL;
}

/* Reads {"key": [[number, ...]]} into the row. Returns 0 for whatever else it is. The body ends in a zero. */
static int read_row(const char *body, Py_ssize_t size, PyObject *key, double *row, Py_ssize_t columns, int takes_whole)
{
    const char *at = past_space(body);
    int is_whole_number, is_all_whole = 1;
    if (*at++ != '{' || *(at = past_space(at)) != '"')
        return 0;
    at++;
    /* No zero is in a key, so that the comparison ends where the body does. */
    if (strncmp(at, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) != 0)
        return 0;
    at += PyBytes_GET_SIZE(key);
    if (*at++ != '"' || *(at = past_space(at)) != ':' || *(at = past_space(at + 1)) != '[')
        return 0;
    if (*(at = past_space(at + 1)) != '[')
        return 0;
    at = past_space(at + 1);
    for (Py_ssize_t column = 0; column < columns; column++) {
        if ((at = read_number(at, &row[column], &is_whole_number)) == NULL)
            return 0;
        is_all_whole &= is_whole_number;
        at = past_space(at);
        if (*at++ != (column + 1 < columns ? ',' : ']'))
            return 0;
        at = past_space(at);
    }
    if (*at++ != ']' || *(at = past_space(at)) != '}')
        return 0;
    at = past_space(at + 1);
    return at == body + size && (takes_whole || !is_all_whole);
}

/* --- what answers a request --- */

typedef struct {
    PyObject_HEAD
    Model *model;
    PyObject *key;        /* where rows stand in a request */
    int takes_whole;      /* rows may be of whole numbers only */
    PyObject *head;       /* of the answer's body, up to its list */
    PyObject *beginning;  /* of the answer's head, up to its length */
    PyObject *server;     /* after what tells how it went, up to the ids */
    PyObject *ending;     /* after the ids */
    PyObject *about;      /* what the record says of the version */
    PyObject *draw;       /* gives so many random bits */
    PyObject *bits;       /* how many */
    PyObject *otherwise;  /* what makes the answer to a request that is not plain */
} Forms;

static void forms_dealloc(Forms *self)
{
    PyObject *objects[] = {(PyObject *)self->model, self->key, self->head, self->beginning, self->server, self->ending,
                           self->about, self->draw, self->bits, self->otherwise};
    for (size_t each = 0; each < sizeof objects / sizeof *objects; each++)
        Py_XDECREF(objects[each]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Forms(model, key, takes_whole, head, (beginning, server, ending), about, draw, otherwise). */
static int forms_init(Forms *self, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *model, *key, *head, *beginning, *server, *ending, *about, *draw, *otherwise;
    if (self->model != NULL) {
        PyErr_SetString(PyExc_TypeError, "forms are made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!SpS(SSS)SOO", &ModelType, &model, &key, &self->takes_whole, &head, &beginning,
                          &server, &ending, &about, &draw, &otherwise) || !is_whole((Model *)model))
        return -1;
    if ((Py_ssize_t)strlen(PyBytes_AS_STRING(key)) != PyBytes_GET_SIZE(key) || PyBytes_GET_SIZE(about) > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "the key has a zero in it, or too much is said of the version");
        return -1;
    }
    if ((self->bits = PyLong_FromLong(36)) == NULL)
        return -1;
    self->model = (Model *)Py_NewRef(model);
    self->key = Py_NewRef(key);
    self->head = Py_NewRef(head);
    self->beginning = Py_NewRef(beginning);
    self->server = Py_NewRef(server);
    self->ending = Py_NewRef(ending);
    self->about = Py_NewRef(about);
    self->draw = Py_NewRef(draw);
    self->otherwise = Py_NewRef(otherwise);
    return 0;
}

static char *put(char *to, const char *from, Py_ssize_t size)
{
    memcpy(to, from, size);
    return to + size;
}

static char *put_bytes(char *to, PyObject *from)
{
    return put(to, PyBytes_AS_STRING(from), PyBytes_GET_SIZE(from));
}

#define PUT(to, text) put(to, text, sizeof(text) - 1)

static char *put_hex(char *to, uint64_t value, int digits)
{
    for (int each = digits - 1; each >= 0; each--)
        *to++ = "0123456789abcdef"[value >> 4 * each & 15];
    return to;
}

static char *put_decimal(char *to, int64_t value, int least_digits)
{
    char digits[20];
    int count = 0;
    for (; value > 0 || count < least_digits; value /= 10)
        digits[count++] = (char)('0' + value % 10);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

/* The present second as HTTP writes it (RFC 9110, 5.6.7). */
static char *put_date(char *to, time_t second)
{
    static time_t written = -1;
    static char date[30];
    if (second != written) {
        static const char *days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        struct tm parts;
        gmtime_r(&second, &parts);
        PyOS_snprintf(date, sizeof date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday], parts.tm_mday,
                      months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
        written = second;
    }
    return put(to, date, sizeof date - 1);
}

enum { ID_SIZE = 36, NUMBERS_SIZE = 32 };

/* Writes a UUID of version 7 (RFC 9562). Returns -1 with an exception set. */
static int put_id(Forms *self, char *to, int64_t milliseconds)
{
    uint64_t random[2];
    for (int each = 0; each < 2; each++) {
        PyObject *drawn = PyObject_CallOneArg(self->draw, self->bits);
        if (drawn == NULL)
            return -1;
        random[each] = PyLong_AsUnsignedLongLong(drawn);
        Py_DECREF(drawn);
        if (PyErr_Occurred())
            return -1;
    }
    to = PUT(put_hex(to, (uint64_t)milliseconds >> 16, 8), "-");
    to = PUT(put_hex(to, (uint64_t)milliseconds, 4), "-7");
    to = PUT(put_hex(to, random[0], 3), "-8");
    to = PUT(put_hex(to, random[0] >> 12, 3), "-");
    put_hex(put_hex(to, random[0] >> 24, 3), random[1], 9);
    return 0;
}

static int64_t nanoseconds_of(clockid_t clock)
{
    struct timespec moment;
    clock_gettime(clock, &moment);
    return (int64_t)moment.tv_sec * 1000000000 + moment.tv_nsec;
}

/* Returns the answer's body; NULL with an exception set. */
static PyObject *written_answer(Forms *self, Verdict verdict, double number, Py_ssize_t label)
{
    char *made = NULL;
    const char *text;
    Py_ssize_t size;
    if (verdict == NUMBER) {
        text = made = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
        size = made == NULL ? 0 : (Py_ssize_t)strlen(made);
    } else {
        text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(self->model->labels, label), &size);
    }
    if (text == NULL)
        return NULL;
    PyObject *answer = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(self->head) + size + 3);
    if (answer != NULL) {
        char *to = PUT(put_bytes(PyBytes_AS_STRING(answer), self->head), "[");
        PUT(put(to, text, size), "]}");
    }
    PyMem_Free(made);
    return answer;
}

/* Returns the answer as it is sent. */
static PyObject *written_whole(Forms *self, PyObject *answer, const char *id, time_t second, int64_t microseconds)
{
    PyObject *room = PyBytes_FromStringAndSize(
        NULL, PyBytes_GET_SIZE(self->beginning) + PyBytes_GET_SIZE(self->server) + PyBytes_GET_SIZE(self->ending) +
                  PyBytes_GET_SIZE(answer) + 2 * ID_SIZE + 256);
    if (room == NULL)
        return NULL;
    char *start = PyBytes_AS_STRING(room), *to = put_bytes(start, self->beginning);
    to = PUT(put_decimal(to, PyBytes_GET_SIZE(answer), 1), "\r\ndate: ");
    to = PUT(put_date(to, second), "\r\nx-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: ");
    to = PUT(put_decimal(to, microseconds / 1000, 1), ".");
    to = PUT(put_decimal(to, microseconds % 1000, 3), "\r\n");
    to = PUT(put_bytes(to, self->server), "x-request-id: ");
    to = PUT(put(to, id, ID_SIZE), "\r\nx-ms-request-id: ");
    to = PUT(put(to, id, ID_SIZE), "\r\n");
    to = PUT(put_bytes(to, self->ending), "\r\n");
    to = put_bytes(to, answer);
    return _PyBytes_Resize(&room, to - start) < 0 ? NULL : room;
}

/* Returns the record, as serving/capture/encoding.py has it. */
static PyObject *written_record(Forms *self, PyObject *body, PyObject *answer, const char *id, double at, double taken)
{
    PyObject *record = PyBytes_FromStringAndSize(NULL, NUMBERS_SIZE + ID_SIZE + PyBytes_GET_SIZE(self->about) +
                                                           PyBytes_GET_SIZE(body) + PyBytes_GET_SIZE(answer));
    if (record == NULL)
        return NULL;
    uint16_t shorts[] = {200, ID_SIZE, 0, (uint16_t)PyBytes_GET_SIZE(self->about)};
    uint32_t sizes[] = {0, (uint32_t)PyBytes_GET_SIZE(body)};
    char *to = put(PyBytes_AS_STRING(record), (char *)&at, sizeof at);
    to = put(to, (char *)&taken, sizeof taken);
    to = put(to, (char *)shorts, sizeof shorts);
    to = put(to, (char *)sizes, sizeof sizes);
    to = put_bytes(put(to, id, ID_SIZE), self->about);
    put_bytes(put_bytes(to, body), answer);
    return record;
}

/* made(body): the request's id, its answer as it is sent, the body of that, the record, and the milliseconds taken. */
static PyObject *forms_made(Forms *self, PyObject *body)
{
    Verdict verdict = UNDECIDED;
    double number = 0.0;
    Py_ssize_t label = 0;
    char id[ID_SIZE];
    if (self->model == NULL || !PyBytes_Check(body)) {
        PyErr_SetString(PyExc_TypeError, "a body is bytes");
        return NULL;
    }
    int64_t received = nanoseconds_of(CLOCK_REALTIME), started = nanoseconds_of(CLOCK_MONOTONIC);
    if (PyBytes_GET_SIZE(body) <= UINT32_MAX &&
        read_row(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), self->key, self->model->row_view.buf,
                 self->model->columns, self->takes_whole) &&
        decide(self->model, &verdict, &number, &label) < 0)
        return NULL;
    if (verdict == UNDECIDED)
        return PyObject_CallOneArg(self->otherwise, body);
    PyObject *answer = written_answer(self, verdict, number, label);
    if (answer == NULL)
        return NULL;
    int64_t taken = nanoseconds_of(CLOCK_MONOTONIC) - started;
    PyObject *whole = NULL, *record = NULL, *made = NULL;
    if (put_id(self, id, received / 1000000) == 0 &&
        (whole = written_whole(self, answer, id, (time_t)(received / 1000000000), taken / 1000)) != NULL &&
        (record = written_record(self, body, answer, id, (double)received / 1e9, (double)taken / 1e6)) != NULL)
        made = Py_BuildValue("s#OOOd", id, (Py_ssize_t)ID_SIZE, whole, answer, record, (double)taken / 1e6);
    Py_DECREF(answer);
    Py_XDECREF(whole);
    Py_XDECREF(record);
    return made;
}

static PyMethodDef forms_methods[] = {
    {"made", (PyCFunction)forms_made, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject FormsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "modelwright._native.Forms",
    .tp_doc = "What is the same in all answers and records of requests with one head.",
    .tp_basicsize = sizeof(Forms),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)forms_init,
    .tp_dealloc = (destructor)forms_dealloc,
    .tp_methods = forms_methods,
};

/* --- records of a segment --- */

/* CRC-32 as zlib computes it, eight bytes at a time (Kounavis and Berry, "A Systematic Approach to Building High
 * Performance Software-based CRC Generators", 2005). */
static uint32_t remainders[8][256];

static void fill_remainders(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
        remainders[0][byte] = value;
    }
    for (int after = 1; after < 8; after++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t value = remainders[after - 1][byte];
            remainders[after][byte] = value >> 8 ^ remainders[0][value & 255];
        }
}

static uint32_t checksum(uint32_t before, const char *at, Py_ssize_t size)
{
    uint32_t value = ~before, low, high;
    for (; size >= 8; at += 8, size -= 8) {
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= value;
        value = remainders[7][low & 255] ^ remainders[6][low >> 8 & 255] ^ remainders[5][low >> 16 & 255] ^
                remainders[4][low >> 24] ^ remainders[3][high & 255] ^ remainders[2][high >> 8 & 255] ^
                remainders[1][high >> 16 & 255] ^ remainders[0][high >> 24];
    }
    for (; size > 0; at++, size--)
        value = value >> 8 ^ remainders[0][(value ^ (unsigned char)*at) & 255];
    return ~value;
}

/* framed(contents, number, seed): records, one after the other, as serving/capture/segments.py has them. */
static PyObject *framed(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const uint32_t mark = 0x9e3c5ad1, delta = 0xa282ead8;
    PyObject *contents;
    unsigned long long number;
    unsigned int seed;
    Py_ssize_t size = 0;
    if (!PyArg_ParseTuple(args, "O!KI", &PyList_Type, &contents, &number, &seed))
        return NULL;
    for (Py_ssize_t each = 0; each < PyList_GET_SIZE(contents); each++) {
        PyObject *content = PyList_GET_ITEM(contents, each);
        if (!PyBytes_Check(content) || PyBytes_GET_SIZE(content) > UINT32_MAX) {
            PyErr_SetString(PyExc_TypeError, "a record is bytes, at most four gigabytes");
            return NULL;
        }
        size += 20 + PyBytes_GET_SIZE(content);
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    if (made == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(made);
    for (Py_ssize_t each = 0; each < PyList_GET_SIZE(contents); each++, number++) {
        PyObject *content = PyList_GET_ITEM(contents, each);
        uint32_t length = (uint32_t)PyBytes_GET_SIZE(content);
        char *head = to = put(to, (char *)&mark, 4);
        to = put(put(to, (char *)&length, 4), (char *)&number, 8);
        uint32_t sum = checksum(checksum(seed, head, 12), PyBytes_AS_STRING(content), length);
        sum = (sum >> 15 | sum << 17) + delta;
        to = put_bytes(put(to, (char *)&sum, 4), content);
    }
    return made;
}

static PyMethodDef functions[] = {
    {"framed", framed, METH_VARARGS, "Return records as a segment has them, one after the other."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "modelwright._native",
    .m_doc = "The hottest parts of the scoring path, compiled.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__native(void)
{
    fill_remainders();
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    if (PyModule_AddType(made, &ModelType) < 0 || PyModule_AddType(made, &FormsType) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
