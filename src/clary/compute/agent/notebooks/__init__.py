"""What a notebook instance consists of: its folders, its JupyterLab, its scripts, its repositories.

/home/ec2-user             new at each start
└── SageMaker              the volume: all that stays
/opt/ml/metadata           who this is, whom to trust
/opt/ml/.packages          what is installed beside the environment, until the stop
/run/clary/lab.sock        where JupyterLab answers, to nobody but the edge
"""
