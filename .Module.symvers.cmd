cmd_/tmp/htrial/Module.symvers :=  sed 's/ko$$/o/'  /tmp/htrial/modules.order | scripts/mod/modpost   -E    -o /tmp/htrial/Module.symvers -e -i Module.symvers -T - 
