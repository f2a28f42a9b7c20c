{#-
    The figures that are estimated of predictions without their labels, and how far
    those with labels were from it.
-#}
{% macro estimated_figures() %}
    {{ return([
        'estimated_count',
        'estimated_accuracy',
        'estimated_accuracy_lower',
        'estimated_accuracy_upper',
        'estimated_balanced_accuracy',
        'estimated_precision',
        'estimated_recall',
        'estimated_specificity',
        'estimated_f1',
        'estimated_roc_auc',
        'estimated_mae',
        'estimated_mae_lower',
        'estimated_mae_upper',
        'estimated_rmse',
        'compared_count',
        'realised_minus_estimated_accuracy',
        'realised_minus_estimated_accuracy_lower',
        'realised_minus_estimated_accuracy_upper',
        'realised_minus_estimated_f1',
        'realised_minus_estimated_roc_auc',
        'realised_minus_estimated_mae',
        'realised_minus_estimated_mae_lower',
        'realised_minus_estimated_mae_upper',
        'realised_minus_estimated_rmse',
    ]) }}
{% endmacro %}
