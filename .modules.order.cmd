cmd_/tmp/htrial/modules.order := {  :; } > /tmp/htrial/modules.order
