{#-
    The figures of performance against labels by name, and whether they have the ends of
    an interval beside them, `_lower` and `_upper`.
-#}
{% macro performance_figures() %}
    {{ return({
        'accuracy': true,
        'balanced_accuracy': false,
        'precision': true,
        'recall': true,
        'specificity': false,
        'f1': true,
        'f1_macro': false,
        'roc_auc': true,
        'average_precision': false,
        'log_loss': false,
        'brier_score': false,
        'expected_calibration_error': false,
        'mae': true,
        'rmse': true,
        'mape': false,
        'r2': false,
        'mean_error': true,
    }) }}
{% endmacro %}
